package runtime_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestSpacesHaveCredits fills the windows of all peers with messages that are
// received only after the ranks have met in a space of a library, as they do in
// a barrier.
func TestSpacesHaveCredits(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{2, 3} {
			run(t, n, func(ctx context.Context, c *runtime.Comm) error {
				const many = 33_000 // at 128 bytes each more than a window
				right, left := (c.Rank()+1)%n, (c.Rank()+n-1)%n
				var sends []*runtime.Request
				for range many {
					sends = append(sends, runtime.Isend(c, right, 0, nil8(0)))
				}
				library := c.Space(7)
				for range 2 {
					if _, err := runtime.SendRecv(ctx, library, right, nil8(3000), left, nil8(3000), 0); err != nil {
						return err
					}
				}
				for range many {
					if _, err := runtime.Recv(ctx, c, left, 0, nil8(0)); err != nil {
						return err
					}
				}
				return runtime.WaitAll(ctx, sends...)
			})
		}
	})
}

// TestBehindUnreceived: what is received first does not wait behind more messages
// of the same sender than its credits allow, neither on another communicator nor
// with another tag.
func TestBehindUnreceived(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const many = 40_000
			other, err := c.Dup(ctx)
			if err != nil {
				return err
			}
			word := make([]int32, 1)
			if c.Rank() == 0 {
				var sends []*runtime.Request
				for i := range int32(many) {
					sends = append(sends, runtime.Isend(c, 1, 0, []int32{i}))
				}
				for i, to := range []*runtime.Comm{other, c} {
					if err := runtime.Send(ctx, to, 1, 1, []int32{int32(i)}); err != nil {
						return err
					}
					if err := runtime.SendSync(ctx, to, 1, 2, []int32{int32(i)}); err != nil {
						return err
					}
				}
				return runtime.WaitAll(ctx, sends...)
			}
			for i, from := range []*runtime.Comm{other, c} {
				for tag := runtime.Tag(1); tag < 3; tag++ {
					if _, err := runtime.Recv(ctx, from, 0, tag, word); err != nil || int(word[0]) != i {
						return fmt.Errorf("word %d on %s: %v, %v", i, from.Name(), word, err)
					}
				}
			}
			for i := range int32(many) {
				if st, err := runtime.Recv(ctx, c, 0, runtime.AnyTag, word); err != nil || word[0] != i || st.Tag != 0 {
					return fmt.Errorf("message %d: %v %+v %v", i, word, st, err)
				}
			}
			return nil
		})
	})
}

// TestLastFirst receives messages in the opposite order of their sending, more
// than fit the window.
func TestLastFirst(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, count := range []int{500, 4000, 16 << 10} { // of 4 bytes
			run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
				many := 8 << 20 / (4 * count)
				peer := 1 - c.Rank()
				var sends []*runtime.Request
				for i := range many {
					sends = append(sends, runtime.Isend(c, peer, runtime.Tag(i), pattern(c.Rank(), i, count)))
				}
				in := make([]int32, count)
				for i := many - 1; i >= 0; i-- {
					if _, err := runtime.Recv(ctx, c, peer, runtime.Tag(i), in); err != nil {
						return err
					}
					if !slices.Equal(in, pattern(peer, i, count)) {
						return fmt.Errorf("message %d: another came", i)
					}
				}
				return runtime.WaitAll(ctx, sends...)
			})
		}
	})
}
