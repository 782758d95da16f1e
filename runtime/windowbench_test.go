package runtime_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sspurn/sspurn/runtime"
)

// BenchmarkWindow measures one-sided operations on a rank that waits in a
// Fence.
func BenchmarkWindow(b *testing.B) {
	const most = 1 << 20
	type window = *runtime.Window[uint8]
	put := func(n int) func(context.Context, window, []uint8) error {
		return func(ctx context.Context, w window, buf []uint8) error {
			if err := w.Put(ctx, 1, 0, buf[:n]); err != nil {
				return err
			}
			return w.Flush(ctx, 1)
		}
	}
	get := func(n int) func(context.Context, window, []uint8) error {
		return func(ctx context.Context, w window, buf []uint8) error { return w.Get(ctx, 1, 0, buf[:n]) }
	}
	for _, op := range []struct {
		name string
		run  func(ctx context.Context, w window, buf []uint8) error
	}{
		{"put/bytes=8", put(8)},
		{"put/bytes=65536", put(64 << 10)},
		{"put/bytes=1048576", put(most)},
		{"get/bytes=8", get(8)},
		{"get/bytes=65536", get(64 << 10)},
		{"get/bytes=1048576", get(most)},
		{"puts=64/bytes=8", func(ctx context.Context, w window, buf []uint8) error {
			for i := range 64 {
				if err := w.Put(ctx, 1, 8*i, buf[:8]); err != nil {
					return err
				}
			}
			return w.Flush(ctx, 1)
		}},
		{"batch=64/bytes=8", func(ctx context.Context, w window, buf []uint8) error {
			batch := w.Batch(1)
			for i := range 64 {
				if err := batch.Put(ctx, 8*i, buf[:8]); err != nil {
					return err
				}
			}
			return batch.Flush(ctx)
		}},
		{"accumulate/bytes=65536", func(ctx context.Context, w window, buf []uint8) error {
			if err := w.Accumulate(ctx, 1, 0, buf[:64<<10], runtime.Add); err != nil {
				return err
			}
			return w.Flush(ctx, 1)
		}},
		{"exclusive", func(ctx context.Context, w window, _ []uint8) error {
			return w.Exclusive(ctx, 1, func() error { return nil })
		}},
	} {
		for _, net := range networks {
			b.Run(fmt.Sprintf("net=%s/%s", net.Name, op.name), func(b *testing.B) {
				b.ReportAllocs()
				net.Run(b, 2, func(ctx context.Context, c *runtime.Comm) error {
					w, err := runtime.NewWindow[uint8](ctx, c, most)
					if err != nil {
						return err
					}
					if c.Rank() == 0 {
						buf := make([]uint8, most)
						for b.Loop() {
							if err := op.run(ctx, w, buf); err != nil {
								return err
							}
						}
					}
					return w.Close(ctx)
				})
			})
		}
	}
}

// BenchmarkFetch is fetch-and-op of 8 bytes.
func BenchmarkFetch(b *testing.B) {
	for _, net := range networks {
		b.Run("net="+net.Name, func(b *testing.B) {
			b.ReportAllocs()
			net.Run(b, 2, func(ctx context.Context, c *runtime.Comm) error {
				w, err := runtime.NewWindow[int64](ctx, c, 1)
				if err != nil {
					return err
				}
				if c.Rank() == 0 {
					for b.Loop() {
						if _, err := w.Fetch(ctx, 1, 0, 1, runtime.Add); err != nil {
							return err
						}
					}
				}
				return w.Close(ctx)
			})
		})
	}
}

// BenchmarkWaitFor is a round trip of changes that each side waits for.
func BenchmarkWaitFor(b *testing.B) {
	for _, net := range networks {
		b.Run("net="+net.Name, func(b *testing.B) {
			b.ReportAllocs()
			net.Run(b, 2, func(ctx context.Context, c *runtime.Comm) error {
				w, err := runtime.NewWindow[int64](ctx, c, 1)
				if err != nil {
					return err
				}
				turn := func(n int64) (int64, error) { // of both
					return w.WaitFor(ctx, 0, func(v int64) bool { return v < 0 || v >= n })
				}
				if c.Rank() == 1 {
					for n := int64(1); ; n++ {
						v, err := turn(n)
						if err == nil {
							_, err = w.Fetch(ctx, 0, 0, n, runtime.Replace)
						}
						if err != nil {
							return err
						}
						if v < 0 {
							return w.Close(ctx)
						}
					}
				}
				for n := int64(1); b.Loop(); n++ {
					if _, err := w.Fetch(ctx, 1, 0, n, runtime.Replace); err != nil {
						return err
					}
					if _, err := turn(n); err != nil {
						return err
					}
				}
				if _, err := w.Fetch(ctx, 1, 0, -1, runtime.Replace); err != nil {
					return err
				}
				return w.Close(ctx)
			})
		})
	}
}
