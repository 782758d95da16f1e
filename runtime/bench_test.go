package runtime_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// networks are the ways to run ranks in this process.
var networks = runtimetest.Networks()

// BenchmarkPingPong reports whole round trips.
func BenchmarkPingPong(b *testing.B) {
	for _, net := range networks {
		for _, size := range []int{8, 1 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("net=%s/bytes=%d", net.Name, size), func(b *testing.B) {
				b.SetBytes(int64(2 * size))
				b.ReportAllocs()
				net.Run(b, 2, func(ctx context.Context, c *runtime.Comm) error {
					buf := make([]byte, size)
					if c.Rank() == 1 {
						for {
							st, err := runtime.Recv(ctx, c, 0, runtime.AnyTag, buf)
							if err != nil || st.Tag == 1 {
								return err
							}
							if err := runtime.Send(ctx, c, 0, 0, buf); err != nil {
								return err
							}
						}
					}
					for b.Loop() {
						if err := runtime.Send(ctx, c, 1, 0, buf); err != nil {
							return err
						}
						if _, err := runtime.Recv(ctx, c, 1, 0, buf); err != nil {
							return err
						}
					}
					return runtime.Send(ctx, c, 1, 1, buf[:0])
				})
			})
		}
	}
}

// BenchmarkSelf is what the engine itself costs: no transport.
func BenchmarkSelf(b *testing.B) {
	b.ReportAllocs()
	runtimetest.SPMD(b, 1, func(ctx context.Context, c *runtime.Comm) error {
		buf := make([]byte, 8)
		for b.Loop() {
			if err := runtime.Send(ctx, c, 0, 0, buf); err != nil {
				return err
			}
			if _, err := runtime.Recv(ctx, c, 0, 0, buf); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkCall(b *testing.B) {
	for _, net := range networks {
		b.Run("net="+net.Name, func(b *testing.B) {
			b.ReportAllocs()
			net.Run(b, 2, func(ctx context.Context, c *runtime.Comm) error {
				p, err := c.OpenPort(ctx, "echo", func(m *runtime.Message) {
					if err := m.Reply(m.Payload); err != nil {
						panic(err)
					}
				})
				if err != nil || c.Rank() == 1 {
					return err
				}
				buf := make([]byte, 64)
				for b.Loop() {
					if _, err := p.Call(ctx, 1, buf); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}
