package ssp

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// earlyBytes of updates that have gathered leave before their clock ends.
const earlyBytes = 64 << 10

// handEarly hands the updates over that have gathered, where they wait for
// nobody and the bound makes early ones worth a message.
func (v *View[T]) handEarly(ctx context.Context) error {
	if v.t.spec.Policy.kind != capped || v.log.Touched() == 0 {
		return nil
	}
	row := v.t.spec.Width * codec.TypeOf[T]().Size()
	if v.t.spec.Sparse {
		row = 32 // as good as any
	}
	if v.log.Touched()*row < earlyBytes {
		return nil
	}
	v.eager = append(v.eager, source[T]{e: v.log.Seal(int64(v.w.clock))})
	return errors.WithMessagef(v.w.sendEager(ctx), "table %s: worker %d: hand over at clock %d", v.t.spec.Name, v.w.index, v.w.clock)
}
