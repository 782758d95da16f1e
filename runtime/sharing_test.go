//go:build linux && !portable

package runtime_test

import (
	"bytes"
	"context"
	stderrors "errors"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

func sharedCluster(n int) *runtimetest.Cluster { return runtimetest.NewSharedCluster(n, n) }

// TestSharedWhere: windows are shared where all ranks of the communicator share
// memory and elements are not complex, and there only.
func TestSharedWhere(t *testing.T) {
	for _, tt := range []struct{ ranks, perHost int }{{1, 1}, {2, 2}, {3, 2}, {5, 5}, {8, 3}} {
		t.Run(fmt.Sprintf("ranks=%d/each=%d", tt.ranks, tt.perHost), func(t *testing.T) {
			cl := runtimetest.NewSharedCluster(tt.ranks, tt.perHost)
			err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				host, err := c.SplitHost(ctx)
				if err != nil {
					return err
				}
				return inTurn(
					func() error {
						return check(ctx, c, func(v int) int16 { return int16(v) }, tt.ranks > 1 && tt.perHost >= tt.ranks)
					},
					func() error { return check(ctx, host, func(v int) float64 { return float64(v) }, host.Size() > 1) },
					func() error { return check(ctx, host, func(v int) complex64 { return complex(0, float32(v)) }, false) },
					func() error { return check(ctx, host, func(v int) complex128 { return complex(0, float64(v)) }, false) })
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// check opens a window, and uses it around a ring.
func check[T runtime.Elem](ctx context.Context, c *runtime.Comm, of func(int) T, want bool) error {
	w, err := runtime.NewWindow[T](ctx, c, c.Rank()) // none at rank 0
	if err != nil {
		return err
	}
	if got := runtime.IsShared(w); got != want {
		return errors.Errorf("%s: %T is shared: %t", c.Name(), w, got)
	}
	next := (c.Rank() + 1) % c.Size()
	if n := w.Len(next); n > 0 {
		if err := w.Put(ctx, next, n-1, []T{of(c.Rank() + 1)}); err != nil {
			return err
		}
	}
	if err := w.Fence(ctx); err != nil {
		return err
	}
	if r := c.Rank(); r > 0 && w.Local()[r-1] != of(r) {
		return errors.Errorf("%s: got %v of rank %d", c.Name(), w.Local(), r-1)
	}
	if got := w.Mapped(next); want && len(got) != w.Len(next) || !want && next != c.Rank() && got != nil {
		return errors.Errorf("%s: %d of %d elements of the next are mapped", c.Name(), len(got), w.Len(next))
	} else if len(got) > 0 && got[next-1] != of(next) {
		return errors.Errorf("%s: rank %d has %v", c.Name(), next, got)
	}
	return w.Close(ctx)
}

// TestSharedHalfOpened: a rank that opens a window that rank 0 has given up
// harms none that rank 0 opens instead.
func TestSharedHalfOpened(t *testing.T) {
	const many, n = 5000, 5000
	tried, gone := make(chan struct{}), make(chan struct{})
	used := make(chan struct{})
	second := make(chan *runtime.Comm, 1)
	errs := sharedCluster(3).Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		sub, err := c.Split(ctx, c.Rank()/2, 0)
		if err != nil {
			return err
		}
		some, cancel := context.WithCancel(ctx)
		defer cancel()
		// What rank 0 tells another waits behind these: rank 1 does not hear of the
		// window, and rank 2 not that it has been given up.
		other, block := c.Space(7), make([]uint8, 1<<10)
		var rs []*runtime.Request
		flood := func(to int) {
			for range many {
				rs = append(rs, runtime.Isend(other, to, 0, block))
			}
		}
		drain := func() error {
			for range many {
				if _, err := runtime.Recv(ctx, other, 0, 0, block); err != nil {
					return err
				}
			}
			return nil
		}
		switch c.Rank() {
		case 0:
			runtime.NoDrought(c)
			flood(1)
			go func() {
				for two := <-second; runtime.Maps(two) == 0 && ctx.Err() == nil; {
					goruntime.Gosched()
				}
				flood(2)
				cancel()
			}()
		case 1:
			go func() { <-tried; cancel() }()
		case 2:
			second <- c
			go func() { <-used; cancel() }()
		}
		if _, err := runtime.NewWindow[int64](some, c, 1000); !stderrors.Is(err, context.Canceled) {
			return errors.Errorf("a window that rank 0 has given up: %v", err)
		}
		switch c.Rank() {
		case 0:
			close(tried)
			if err := runtime.WaitAll(ctx, rs[:many]...); err != nil {
				return err
			}
		case 1:
			if err := drain(); err != nil {
				return err
			}
		case 2:
			close(gone)
			return drain()
		}
		w, err := runtime.NewWindow[int64](ctx, sub, n)
		if err != nil {
			return err
		}
		for i := range w.Local() {
			w.Local()[i] = 1
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if c.Rank() == 0 {
			close(used)
			<-gone
			if err := runtime.WaitAll(ctx, rs...); err != nil {
				return err
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if i := slices.IndexFunc(w.Local(), func(v int64) bool { return v != 1 }); i >= 0 {
			return errors.Errorf("element %d of %d is %d", i, n, w.Local()[i])
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if _, err := w.Fetch(ctx, 0, 0, 1, runtime.Add); err != nil {
			return err
		}
		return w.Close(ctx)
	})
	if err := runtimetest.Primary(errs); err != nil {
		t.Error(err)
	}
}

// mappings counts what this process has mapped of memory that ranks share.
func mappings(t *testing.T) int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Error(err)
	}
	return bytes.Count(maps, []byte("memfd:"))
}

// TestSharedLeft: what is not closed goes with its communicator.
func TestSharedLeft(t *testing.T) {
	const n, windows = 2, 100
	before := mappings(t)
	runtimetest.Network{New: sharedCluster}.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
		for range windows {
			d, err := c.Dup(ctx)
			if err != nil {
				return err
			}
			w, err := runtime.NewWindow[int64](ctx, d, 1)
			if err != nil {
				return err
			}
			if err := w.Fence(ctx); err != nil {
				return err
			}
			if err := d.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	for range 1000 {
		if mappings(t)-before < windows {
			return
		}
		goruntime.GC()
	}
	t.Errorf("%d mappings of %d windows of %d ranks are left", mappings(t)-before, windows, n)
}

// TestSharedNoRoom: where one rank can not share a window, it works all the same.
func TestSharedNoRoom(t *testing.T) {
	runtimetest.Network{New: sharedCluster}.Run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		before, err := runtime.NewWindow[int8](ctx, c, 1)
		if err != nil {
			return err
		}
		if c.Rank() == 0 {
			if err := runtime.NoRoom(c); err != nil {
				return err
			}
		}
		if err := check(ctx, c, func(v int) int8 { return int8(v) }, false); err != nil {
			return err
		}
		half, err := c.Split(ctx, min(c.Rank(), 1), 0) // whose room is that of rank 1
		if err != nil {
			return err
		}
		if err := check(ctx, half, func(v int) int8 { return int8(v) }, half.Size() > 1); err != nil {
			return err
		}
		if !runtime.IsShared(before) {
			return stderrors.New("the first was not shared")
		}
		return before.Close(ctx)
	})
}

// TestSharedMany: memory of windows that are closed is unmapped although Go's
// heap, which does not know it, gives no reason to look for what is not used.
func TestSharedMany(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const n, windows = 2, 2500
	before := mappings(t)
	runtimetest.Network{New: sharedCluster}.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
		for range windows {
			w, err := runtime.NewWindow[int64](ctx, c, 1)
			if err != nil {
				return err
			}
			if err := w.Close(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if more := mappings(t) - before; more >= n*windows*3/4 {
		t.Errorf("%d mappings of %d windows of %d ranks are left", more, windows, n)
	}
}
