package runtime_test

import (
	"context"
	stderrors "errors"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestNotifyLeft: who notifies a rank whose body has returned is told when no
// more notifications fit, instead of waiting for ever.
func TestNotifyLeft(t *testing.T) {
	body := func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[int32](ctx, c, 1)
		if err != nil || c.Rank() == 1 {
			return err
		}
		const enough = 1 << 20
		for range enough {
			if err := w.PutNotify(ctx, 1, 0, nil, 3); err != nil {
				if !stderrors.Is(err, runtime.ErrLeft) {
					return err
				}
				// And again, now that it is known.
				if err := w.PutNotify(ctx, 1, 0, nil, 3); !stderrors.Is(err, runtime.ErrLeft) {
					return errors.Errorf("once more: %v", err)
				}
				return nil
			}
		}
		return errors.Errorf("%d notifications that nobody waits for", enough)
	}
	runtimetest.SPMD(t, 2, body)
}
