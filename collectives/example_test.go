package collectives_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// run runs body on three ranks of this process, for the examples.
func run(body func(ctx context.Context, c *runtime.Comm) error) {
	if err := runtime.RunLocal(context.Background(), 3, body); err != nil {
		log.Print(err)
	}
}

func ExampleAllreduce() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		x := []float64{1, float64(c.Rank())}
		if err := collectives.Allreduce(ctx, c, x, x, collectives.Sum); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(x)
		}
		return nil
	})
	// Output: [3 3]
}

func ExampleAllreduceValue() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		worst, err := collectives.AllreduceValue(ctx, c, int64(10*c.Rank()), collectives.Max)
		if c.Rank() == 2 {
			fmt.Println(worst)
		}
		return err
	})
	// Output: 20
}

func ExampleBarrier() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 1 {
			fmt.Println("before")
		}
		if err := collectives.Barrier(ctx, c); err != nil {
			return err
		}
		if c.Rank() == 2 {
			fmt.Println("after")
		}
		return nil
	})
	// Output:
	// before
	// after
}

func ExampleBcast() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		seed := []uint64{0}
		if c.Rank() == 0 {
			seed[0] = 42
		}
		if err := collectives.Bcast(ctx, c, seed, 0); err != nil {
			return err
		}
		if c.Rank() == 2 {
			fmt.Println(seed)
		}
		return nil
	})
	// Output: [42]
}

func ExampleReduce() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		seen := []uint8{1 << c.Rank()}
		if err := collectives.Reduce(ctx, c, seen, seen, collectives.BitOr, 1); err != nil {
			return err
		}
		if c.Rank() == 1 {
			fmt.Printf("%03b\n", seen[0])
		}
		return nil
	})
	// Output: 111
}

func ExampleGather() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		// Rank r has r+1 elements.
		part := make([]int32, c.Rank()+1)
		for i := range part {
			part[i] = int32(c.Rank())
		}
		var all []int32
		if c.Rank() == 0 {
			all = make([]int32, 6)
		}
		if err := collectives.Gather(ctx, c, all, part, 0, collectives.Counts([]int{1, 2, 3})); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(all)
		}
		return nil
	})
	// Output: [0 1 1 2 2 2]
}

func ExampleAllgather() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		squares := make([]int64, 3)
		if err := collectives.Allgather(ctx, c, squares, []int64{int64(c.Rank() * c.Rank())}); err != nil {
			return err
		}
		if c.Rank() == 2 {
			fmt.Println(squares)
		}
		return nil
	})
	// Output: [0 1 4]
}

func ExampleScatter() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		var all []float32
		if c.Rank() == 0 {
			all = []float32{1, 2, 3, 4, 5, 6}
		}
		mine := make([]float32, 2)
		if err := collectives.Scatter(ctx, c, mine, all, 0); err != nil {
			return err
		}
		if c.Rank() == 1 {
			fmt.Println(mine)
		}
		return nil
	})
	// Output: [3 4]
}

func ExampleFunc() {
	gcd := collectives.Func("gcd", func(dst, src []int64) {
		for i, b := range src {
			a := dst[i]
			for b != 0 {
				a, b = b, a%b
			}
			dst[i] = a
		}
	})
	run(func(ctx context.Context, c *runtime.Comm) error {
		g, err := collectives.AllreduceValue(ctx, c, int64(12*(c.Rank()+1)), gcd)
		if c.Rank() == 0 {
			fmt.Println(g)
		}
		return err
	})
	// Output: 12
}

func ExampleReduceScatter() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		mine := make([]int64, 1)
		if err := collectives.ReduceScatter(ctx, c, mine, []int64{1, 10, 100}, collectives.Sum); err != nil {
			return err
		}
		if c.Rank() == 1 {
			fmt.Println(mine)
		}
		return nil
	})
	// Output: [30]
}

func ExampleAlltoall() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		// Element q is for rank q.
		out, in := make([]int32, 3), make([]int32, 3)
		for q := range out {
			out[q] = int32(10*c.Rank() + q)
		}
		if err := collectives.Alltoall(ctx, c, in, out); err != nil {
			return err
		}
		if c.Rank() == 1 {
			fmt.Println(in)
		}
		return nil
	})
	// Output: [1 11 21]
}

func ExampleExscan() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		// Where the rows of this rank begin.
		rows, first := []int64{int64(5 + c.Rank())}, []int64{0}
		if err := collectives.Exscan(ctx, c, first, rows, collectives.Sum); err != nil {
			return err
		}
		if c.Rank() == 2 {
			fmt.Println(first[0])
		}
		return nil
	})
	// Output: 11
}

func ExampleStartAllreduce() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		loss, grad := []float64{1}, []float64{2, 3}
		a := collectives.StartAllreduce(c, loss, loss, collectives.Sum)
		b := collectives.StartAllreduce(c, grad, grad, collectives.Sum)
		// Compute something else here.
		if err := collectives.WaitAll(ctx, a, b); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(loss, grad)
		}
		return nil
	})
	// Output: [3] [6 9]
}

func ExamplePlan() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		x := []float64{1}
		p, err := collectives.PrepareAllreduce(c, x, x, collectives.Sum)
		if err != nil {
			return err
		}
		for range 3 {
			if err := p.Run(ctx); err != nil {
				return err
			}
		}
		if c.Rank() == 0 {
			fmt.Println(x)
		}
		return nil
	})
	// Output: [27]
}

func ExampleNeighborAlltoall() {
	run(func(ctx context.Context, c *runtime.Comm) error {
		ring, err := collectives.NewCart(ctx, c, []int{3}, []bool{true})
		if err != nil {
			return err
		}
		// Borders for the rank before and the one after, and what they send.
		border, halo := []int32{int32(10 * c.Rank()), int32(10*c.Rank() + 9)}, make([]int32, 2)
		if err := collectives.NeighborAlltoall(ctx, ring, halo, border); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(halo)
		}
		return nil
	})
	// Output: [29 10]
}
