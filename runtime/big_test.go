package runtime_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestBig sends messages of more than 2³¹ elements, from one slice and from
// parts, and of more than 2³² bytes. It takes 11 GiB of memory, so it runs only
// when asked for: "make big".
func TestBig(t *testing.T) {
	if os.Getenv("SSPURN_BIG") == "" {
		t.Skip("needs 11 GiB of memory; SSPURN_BIG=1 runs it")
	}
	runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		if err := big[int8](ctx, c, 1<<31+5); err != nil {
			return err
		}
		return big[int16](ctx, c, 1<<31+5)
	})
}

func big[T int8 | int16](ctx context.Context, c *runtime.Comm, n int) error {
	var buf []T
	marks := []int{0, 1<<16 + 1, 1<<30 - 1, 1<<31 - 1, 1 << 31, n - 1}
	parts := func() [][]T { return [][]T{buf[:1<<30], buf[1<<30 : 1<<30+1], buf[1<<30+1:]} }
	if c.Rank() == 0 {
		buf = make([]T, n) // stays a page of zeros where nothing is written
		for i, at := range marks {
			buf[at] = T(i + 1)
		}
		if err := runtime.Send(ctx, c, 1, 0, buf); err != nil {
			return err
		}
		return runtime.SendParts(ctx, c, 1, 1, parts())
	}
	for _, tag := range []runtime.Tag{0, 1} {
		got, st, err := runtime.RecvAlloc[T](ctx, c, 0, tag, n)
		if err != nil {
			return err
		}
		if st.Count != n || len(got) != n || st.Bytes/n*n != st.Bytes || st.Bytes < n {
			return fmt.Errorf("%d elements came, %+v", len(got), st)
		}
		sum := 0
		for _, v := range got {
			sum += int(v)
		}
		if want := len(marks) * (len(marks) + 1) / 2; sum != want {
			return fmt.Errorf("the sum is %d, want %d", sum, want)
		}
		for i, at := range marks {
			if got[at] != T(i+1) {
				return fmt.Errorf("element %d is %d", at, got[at])
			}
		}
	}
	return nil
}
