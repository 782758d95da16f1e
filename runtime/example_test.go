package runtime_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sspurn/sspurn/runtime"
)

// Three ranks pass a number round and add to it. With Run in the place of
// RunLocal the same body runs on as many ranks as the launcher starts.
func ExampleRunLocal() {
	err := runtime.RunLocal(context.Background(), 3, func(ctx context.Context, c *runtime.Comm) error {
		next, last := (c.Rank()+1)%c.Size(), (c.Rank()+c.Size()-1)%c.Size()
		x := []int64{100}
		if c.Rank() == 0 {
			if err := runtime.Send(ctx, c, next, 0, x); err != nil {
				return err
			}
		}
		if _, err := runtime.Recv(ctx, c, last, 0, x); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(x[0])
			return nil
		}
		x[0] += int64(c.Rank())
		return runtime.Send(ctx, c, next, 0, x)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 103
}

// A handler answers at the other rank, which does nothing for it.
func ExampleComm_OpenPort() {
	err := runtime.RunLocal(context.Background(), 2, func(ctx context.Context, c *runtime.Comm) error {
		p, err := c.OpenPort(ctx, "greet", func(m *runtime.Message) {
			if err := m.Reply([]byte("hello, "), m.Payload); err != nil {
				panic(err)
			}
		})
		if err != nil || c.Rank() == 1 {
			return err
		}
		reply, err := p.Call(ctx, 1, []byte("world"))
		fmt.Println(string(reply))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: hello, world
}

// Rows of a grid of 2 by 2 ranks.
func ExampleComm_Split() {
	err := runtime.RunLocal(context.Background(), 4, func(ctx context.Context, c *runtime.Comm) error {
		row, err := c.Split(ctx, c.Rank()/2, c.Rank())
		if err != nil {
			return err
		}
		if c.Rank() == 3 {
			fmt.Println(row.Name(), "rank", row.Rank(), "of", row.Size())
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: world/split1 rank 1 of 2
}

// Two receives at once, in the order in which the messages come.
func ExampleWaitAny() {
	err := runtime.RunLocal(context.Background(), 3, func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() > 0 {
			return runtime.Send(ctx, c, 0, 0, []float32{float32(c.Rank())})
		}
		var a, b [1]float32
		rs := []*runtime.Request{runtime.Irecv(c, 1, 0, a[:]), runtime.Irecv(c, 2, 0, b[:])}
		i, _, err := runtime.WaitAny(ctx, rs...)
		if err != nil {
			return err
		}
		if _, err := rs[1-i].Wait(ctx); err != nil {
			return err
		}
		fmt.Println(a[0] + b[0])
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 3
}

// A message of unknown length, taken by the one who has asked for it.
func ExampleMatch() {
	err := runtime.RunLocal(context.Background(), 2, func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 1 {
			return runtime.Send(ctx, c, 0, 7, []float64{1, 2, 3})
		}
		m, err := runtime.Match(ctx, c, runtime.AnySource, runtime.AnyTag)
		if err != nil {
			return err
		}
		buf := make([]float64, m.Count)
		_, err = runtime.RecvMatched(ctx, m, buf)
		fmt.Println(m.Source, m.Tag, buf)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 7 [1 2 3]
}

// A column of a matrix of 3 by 2 is one message.
func ExampleStrided() {
	err := runtime.RunLocal(context.Background(), 2, func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 1 {
			m := []int32{
				1, 2,
				3, 4,
				5, 6,
			}
			return runtime.SendParts(ctx, c, 0, 0, runtime.Strided(m[1:], 1, 2, 3))
		}
		column := make([]int32, 3)
		_, err := runtime.Recv(ctx, c, 1, 0, column)
		fmt.Println(column)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: [2 4 6]
}

// The same exchange in every iteration.
func ExamplePrepareSend() {
	err := runtime.RunLocal(context.Background(), 2, func(ctx context.Context, c *runtime.Comm) error {
		mine, theirs := []int64{int64(c.Rank())}, make([]int64, 1)
		send, receive := runtime.PrepareSend(c, 1-c.Rank(), 0, mine), runtime.PrepareRecv(c, 1-c.Rank(), 0, theirs)
		for range 3 {
			receive.Start()
			send.Start()
			if err := runtime.WaitAll(ctx, send, receive); err != nil {
				return err
			}
			mine[0] += theirs[0]
		}
		if c.Rank() == 0 {
			fmt.Println(mine[0])
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 4
}

// All ranks add to the memory of rank 0, which does nothing for it.
func ExampleNewWindow() {
	err := runtime.RunLocal(context.Background(), 4, func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[int64](ctx, c, 2)
		if err != nil {
			return err
		}
		if err := w.Accumulate(ctx, 0, 0, []int64{1, int64(c.Rank())}, runtime.Add); err != nil {
			return err
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if c.Rank() == 0 {
			fmt.Println(w.Local())
		}
		return w.Close(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: [4 6]
}

// A rank hands over a block of numbers and tells the other that it is there.
func ExampleWindow_PutNotify() {
	err := runtime.RunLocal(context.Background(), 2, func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[float64](ctx, c, 10)
		if err != nil {
			return err
		}
		if c.Rank() == 0 {
			err = w.PutNotify(ctx, 1, 4, []float64{1, 2, 3}, 7)
		} else {
			var n runtime.Note
			if n, err = w.WaitNotify(ctx, 0, 7); err == nil {
				fmt.Println(w.Local()[n.Offset : n.Offset+n.Count])
			}
		}
		if err != nil {
			return err
		}
		return w.Close(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: [1 2 3]
}
