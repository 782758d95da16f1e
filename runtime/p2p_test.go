package runtime

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"testing"
)

// job runs body on n ranks in memory and fails the test with what they return.
func job(t *testing.T, n int, body func(context.Context, *Comm) error) {
	t.Helper()
	if err := RunLocal(t.Context(), n, body); err != nil {
		t.Fatal(err)
	}
}

var sizes = []int{1, 2, 3, 5, 8}

// pattern is a message that tells its sender, its number and its length.
func pattern(source, number, n int) []int32 {
	b := make([]int32, n)
	for i := range b {
		b[i] = int32(source*1_000_003 + number*1009 + i)
	}
	return b
}

func TestRing(t *testing.T) {
	for _, n := range sizes {
		for _, count := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 300_000} {
			t.Run(fmt.Sprintf("ranks=%d/count=%d", n, count), func(t *testing.T) {
				job(t, n, func(ctx context.Context, c *Comm) error {
					right, left := (c.Rank()+1)%n, (c.Rank()+n-1)%n
					in := make([]int32, count)
					st, err := SendRecv(ctx, c, right, pattern(c.Rank(), 1, count), left, in, 7)
					if err != nil {
						return err
					}
					if st != (Status{Source: left, Tag: 7, Count: count, Bytes: 4 * count}) {
						return fmt.Errorf("status %+v", st)
					}
					if !slices.Equal(in, pattern(left, 1, count)) {
						return stderrors.New("content differs")
					}
					return nil
				})
			})
		}
	}
}
