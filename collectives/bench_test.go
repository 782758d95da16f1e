package collectives_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

func benchmark(b *testing.B, ranks int, bytes int64, body func(ctx context.Context, c *runtime.Comm) error) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(bytes)
	n := make(chan int)
	runtimetest.TCP(b, ranks, func(ctx context.Context, c *runtime.Comm) error {
		// Rank 0 decides how often; the others follow.
		if c.Rank() != 0 {
			for range <-n {
				if err := body(ctx, c); err != nil {
					return err
				}
			}
			return nil
		}
		for range ranks - 1 {
			n <- b.N
		}
		b.ResetTimer()
		for range b.N {
			if err := body(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkBarrier(b *testing.B) {
	for _, ranks := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("ranks=%d", ranks), func(b *testing.B) { benchmark(b, ranks, 0, collectives.Barrier) })
	}
}

func BenchmarkAllreduce(b *testing.B) {
	for _, ranks := range []int{1, 2, 4} {
		for _, n := range []int{1, 256, 16 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("ranks=%d/floats=%d", ranks, n), func(b *testing.B) {
				x := make([][]float32, ranks)
				for r := range x {
					x[r] = make([]float32, n)
				}
				benchmark(b, ranks, int64(4*n), func(ctx context.Context, c *runtime.Comm) error {
					return collectives.Allreduce(ctx, c, x[c.Rank()], x[c.Rank()], collectives.Sum)
				})
			})
		}
	}
}
