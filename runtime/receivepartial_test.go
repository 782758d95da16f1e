package runtime

import (
	stderrors "errors"
	"log/slog"
	"reflect"
	"testing"
)

// TestPartialElement: a message of a corrupt peer that ends within an element
// is an error of the receive, also where memory is made for whole ones.
func TestPartialElement(t *testing.T) {
	e := newEngine(0, []string{"here"}, slog.New(slog.DiscardHandler))
	r := &Request{kind: opRecv, group: e.groups[0], peer: AnySource}
	r.room = room{elem: uint8(reflect.Int32), limit: 64, alloc: func(n int) []byte { return make([]byte, n/4*4) }}
	r.group.link(r)
	if e.accept(r, 0, 7, uint8(reflect.Int32), 10) || !stderrors.Is(r.err, errPartial) {
		t.Errorf("10 bytes of int32: %v, room for %d", r.err, len(r.buf))
	}
}
