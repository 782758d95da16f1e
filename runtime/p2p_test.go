package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

var sizes = []int{1, 2, 3, 5, 8}

// over runs a test over each network.
func over(t *testing.T, test func(t *testing.T, run func(t testing.TB, n int, body runtimetest.Body))) {
	for _, net := range networks {
		t.Run("net="+net.Name, func(t *testing.T) { test(t, net.Run) })
	}
}

// pattern is a message that tells its sender, its number and its length.
func pattern(source, number, n int) []int32 {
	b := make([]int32, n)
	for i := range b {
		b[i] = int32(source*1_000_003 + number*1009 + n + i)
	}
	return b
}

func TestRing(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range sizes {
			t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
				run(t, n, func(ctx context.Context, c *runtime.Comm) error {
					right, left := (c.Rank()+1)%n, (c.Rank()+n-1)%n
					for _, count := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 300_000} {
						in := make([]int32, count+1)
						st, err := runtime.SendRecv(ctx, c, right, pattern(c.Rank(), 1, count), left, in, 7)
						if err != nil {
							return err
						}
						if want := (runtime.Status{Source: left, Tag: 7, Count: count, Bytes: 4 * count}); st != want {
							return fmt.Errorf("status %+v, want %+v", st, want)
						}
						if !slices.Equal(in[:count], pattern(left, 1, count)) {
							return fmt.Errorf("content of %d elements differs", count)
						}
					}
					return nil
				})
			})
		}
	})
}

// TestOrder sends messages of all lengths with two tags from everybody to
// everybody and receives with and without wildcards: those of one source and
// tag must come in order.
func TestOrder(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{1, 2, 3, 5} {
			t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
				const each = 15
				length := func(source, tag, number int) int {
					r := rand.New(rand.NewPCG(uint64(source), uint64(tag*100+number)))
					return []int{0, 1, 100, 5000, 16 << 10, 20_000, 50_000}[r.IntN(7)]
				}
				run(t, n, func(ctx context.Context, c *runtime.Comm) error {
					var sends []*runtime.Request
					for number := range each {
						for dst := range n {
							for tag := range 2 {
								m := pattern(c.Rank()*2+tag, number, length(c.Rank(), tag, number))
								sends = append(sends, runtime.Isend(c, dst, runtime.Tag(tag), m))
							}
						}
					}
					seen := make([][2]int, n)
					rnd := rand.New(rand.NewPCG(uint64(c.Rank()), 99))
					buf := make([]int32, 50_000)
					for range each * n * 2 {
						src, tag := runtime.AnySource, runtime.AnyTag
						switch rnd.IntN(3) {
						case 0: // a source of which something is still to come
							for src = rnd.IntN(n); seen[src][0]+seen[src][1] == 2*each; src = rnd.IntN(n) {
							}
						case 1: // a tag of which something is still to come
							tag = runtime.Tag(rnd.IntN(2))
							left := 0
							for i := range seen {
								left += each - seen[i][tag]
							}
							if left == 0 {
								tag = 1 - tag
							}
						}
						st, err := runtime.Recv(ctx, c, src, tag, buf)
						if err != nil {
							return err
						}
						number := seen[st.Source][st.Tag]
						seen[st.Source][st.Tag]++
						want := pattern(st.Source*2+int(st.Tag), number, length(st.Source, int(st.Tag), number))
						if !slices.Equal(buf[:st.Count], want) {
							return fmt.Errorf("message %d of rank %d, tag %d: another came", number, st.Source, st.Tag)
						}
					}
					return runtime.WaitAll(ctx, sends...)
				})
			})
		}
	})
}

// TestHeadToHead exchanges large messages both ways at once, by blocking sends
// after posted receives.
func TestHeadToHead(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{2, 3} {
			run(t, n, func(ctx context.Context, c *runtime.Comm) error {
				const count = 1 << 20
				in := make([][]int32, n)
				var rs []*runtime.Request
				for peer := range n {
					in[peer] = make([]int32, count)
					rs = append(rs, runtime.Irecv(c, peer, 0, in[peer]))
				}
				for peer := range n {
					if err := runtime.Send(ctx, c, peer, 0, pattern(c.Rank(), peer, count)); err != nil {
						return err
					}
				}
				if err := runtime.WaitAll(ctx, rs...); err != nil {
					return err
				}
				for peer := range n {
					if !slices.Equal(in[peer], pattern(peer, c.Rank(), count)) {
						return fmt.Errorf("content from %d differs", peer)
					}
				}
				return nil
			})
		}
	})
}

// TestManyOutstanding starts far more small sends than the credits allow at
// once, before anything is received.
func TestManyOutstanding(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		started := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const many, count = 1500, 4000 // 24 MB, the window is 4 MiB
			peer := 1 - c.Rank()
			var sends []*runtime.Request
			for i := range many {
				sends = append(sends, runtime.Isend(c, peer, 0, pattern(c.Rank(), i, count)))
			}
			if _, done, err := sends[many-1].Test(); done || err != nil {
				return fmt.Errorf("the last send has ended (%v) beyond the credits", err)
			}
			close(started[c.Rank()])
			select {
			case <-started[peer]: // before, a receive would return credits
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			buf := make([]int32, count)
			for i := range many {
				if _, err := runtime.Recv(ctx, c, peer, 0, buf); err != nil {
					return err
				}
				if !slices.Equal(buf, pattern(peer, i, count)) {
					return fmt.Errorf("message %d: another came", i)
				}
			}
			return runtime.WaitAll(ctx, sends...)
		})
	})
}

func TestTypesAndLengths(t *testing.T) {
	type celsius float64
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == 0 {
				for _, count := range []int{4, 40_000} { // eager, rendezvous
					for range 4 { // the last fits
						if err := runtime.Send(ctx, c, 1, 0, make([]float64, count)); err != nil {
							return err
						}
					}
				}
				return nil
			}
			for _, count := range []int{4, 40_000} {
				_, err := runtime.Recv(ctx, c, 0, 0, make([]float64, count-1))
				if !stderrors.Is(err, runtime.ErrTruncated) {
					return fmt.Errorf("short buffer: %v", err)
				}
				if !strings.Contains(err.Error(), "recv from rank 0 on world") {
					return fmt.Errorf("%v does not say what failed", err)
				}
				_, err = runtime.Recv(ctx, c, 0, 0, make([]int64, count))
				if !stderrors.Is(err, runtime.ErrType) {
					return fmt.Errorf("another type: %v", err)
				}
				// In the other order of arrival.
				r := runtime.Irecv(c, 0, 0, make([]float64, count-1))
				if _, err := r.Wait(ctx); !stderrors.Is(err, runtime.ErrTruncated) {
					return fmt.Errorf("short buffer, posted: %v", err)
				}
				st, err := runtime.Recv(ctx, c, 0, 0, make([]celsius, count))
				if err != nil || st.Count != count {
					return fmt.Errorf("named type: %+v, %v", st, err)
				}
			}
			return nil
		})
	})
}

// TestAllocAny receives what may be as long as it is.
func TestAllocAny(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		for _, count := range []int{0, 3, 40_000} {
			if c.Rank() == 0 {
				if err := runtime.Send(ctx, c, 1, 0, make([]complex128, count)); err != nil {
					return err
				}
			} else if got, _, err := runtime.RecvAlloc[complex128](ctx, c, 0, 0, math.MaxInt); err != nil || len(got) != count {
				return fmt.Errorf("%d elements of %d: %v", len(got), count, err)
			}
		}
		return nil
	})
}

func TestArguments(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		buf := make([]int32, 1)
		for name, err := range map[string]error{
			"send to 2":   runtime.Send(ctx, c, 2, 0, buf),
			"send to -1":  runtime.Send(ctx, c, -1, 0, buf),
			"send AnyTag": runtime.Send(ctx, c, 1, runtime.AnyTag, buf),
			"isend to 2":  runtime.WaitAll(ctx, runtime.Isend(c, 2, 0, buf)),
			"irecv from 2": func() error {
				_, err := runtime.Irecv(c, 2, 0, buf).Wait(ctx)
				return err
			}(),
		} {
			if err == nil {
				return fmt.Errorf("%s: no error", name)
			}
		}
		return nil
	})
}

func TestProbe(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() > 0 {
				if err := runtime.Send(ctx, c, 0, runtime.Tag(c.Rank()), make([]int16, 10*c.Rank())); err != nil {
					return err
				}
				return runtime.Send(ctx, c, 0, runtime.Tag(10+c.Rank()), make([]int16, 100_000))
			}
			for _, tag := range []runtime.Tag{12, 2, runtime.AnyTag, runtime.AnyTag} {
				st, err := runtime.Probe(ctx, c, runtime.AnySource, tag)
				if err != nil {
					return err
				}
				want := 10 * st.Source
				if st.Tag > 10 {
					want = 100_000
				}
				if st.Count != want || st.Bytes != 2*want {
					return fmt.Errorf("probe says %+v", st)
				}
				got, err := runtime.Recv(ctx, c, st.Source, st.Tag, make([]int16, st.Count))
				if err != nil || got != st {
					return fmt.Errorf("received %+v, %v; probe said %+v", got, err, st)
				}
			}
			return nil
		})
	})
}

func TestGob(t *testing.T) {
	type parcel struct {
		Name string
		Data map[string][]float64
	}
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			for _, n := range []int{0, 3, 100_000} {
				want := parcel{Name: "x", Data: map[string][]float64{"y": make([]float64, n)}}
				for i := range n {
					want.Data["y"][i] = 1 / float64(i+1)
				}
				if c.Rank() == 0 {
					if err := runtime.SendGob(ctx, c, 1, 0, want); err != nil {
						return err
					}
					continue
				}
				var got parcel
				if _, err := runtime.RecvGob(ctx, c, 0, 0, &got); err != nil {
					return err
				}
				if got.Name != want.Name || !slices.Equal(got.Data["y"], want.Data["y"]) {
					return fmt.Errorf("another value of %d came", n)
				}
			}
			return nil
		})
	})
}

func TestWaitAny(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() > 0 {
				// Rank 2 sends when rank 1's message has been received.
				var token [1]int8
				if c.Rank() == 2 {
					if _, err := runtime.Recv(ctx, c, 0, 1, token[:]); err != nil {
						return err
					}
				}
				return runtime.Send(ctx, c, 0, 0, token[:])
			}
			var a, b [1]int8
			rs := []*runtime.Request{runtime.Irecv(c, 2, 0, b[:]), runtime.Irecv(c, 1, 0, a[:])}
			i, st, err := runtime.WaitAny(ctx, rs...)
			if err != nil || i != 1 || st.Source != 1 {
				return fmt.Errorf("first: %d %+v %v", i, st, err)
			}
			if err := runtime.Send(ctx, c, 2, 1, a[:]); err != nil {
				return err
			}
			i, st, err = runtime.WaitAny(ctx, rs[0])
			if err != nil || i != 0 || st.Source != 2 {
				return fmt.Errorf("second: %d %+v %v", i, st, err)
			}
			if i, _, err := runtime.WaitAny(ctx); i != -1 || err != nil {
				return fmt.Errorf("of none: %d %v", i, err)
			}
			return nil
		})
	})
}

func TestManyWaiters(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const goroutines, rounds = 8, 50
			errs := make(chan error, goroutines)
			for g := range goroutines {
				go func() {
					buf := make([]int32, 1)
					for i := range rounds {
						want := int32(g*rounds + i)
						if c.Rank() == 0 {
							buf[0] = want
							if err := runtime.Send(ctx, c, 1, runtime.Tag(g), buf); err != nil {
								errs <- err
								return
							}
						}
						if _, err := runtime.Recv(ctx, c, 1-c.Rank(), runtime.Tag(g), buf); err != nil {
							errs <- err
							return
						}
						if buf[0] != want {
							errs <- fmt.Errorf("goroutine %d: got %d, want %d", g, buf[0], want)
							return
						}
						if c.Rank() == 1 {
							if err := runtime.Send(ctx, c, 0, runtime.Tag(g), buf); err != nil {
								errs <- err
								return
							}
						}
					}
					errs <- nil
				}()
			}
			var all error
			for range goroutines {
				all = stderrors.Join(all, <-errs)
			}
			return all
		})
	})
}

func TestJobsSideBySide(t *testing.T) {
	defer runtimetest.Leaks(t)()
	done := make(chan error)
	for job := range 3 {
		go func() {
			done <- runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
				for i := range 200 {
					in := make([]int32, 1)
					out := []int32{int32(job*1000 + i)}
					if _, err := runtime.SendRecv(ctx, c, (c.Rank()+1)%3, out, (c.Rank()+2)%3, in, 0); err != nil {
						return err
					}
					if in[0] != out[0] {
						return fmt.Errorf("job %d got a message of job %d", job, in[0]/1000)
					}
				}
				return nil
			})
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestAllocations: what programs call in their inner loops allocates nothing.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
		buf := make([]float32, 64)
		var failed error
		got := testing.AllocsPerRun(100, func() {
			if err := runtime.Send(ctx, c, 0, 0, buf); err != nil {
				failed = err
			}
			if _, err := runtime.Recv(ctx, c, 0, 0, buf); err != nil {
				failed = err
			}
		})
		if got != 0 {
			return fmt.Errorf("send and recv allocate %v times", got)
		}
		return failed
	})
	runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		buf := make([]float32, 64)
		exchange := func() error {
			if err := runtime.Send(ctx, c, 1-c.Rank(), 0, buf); err != nil {
				return err
			}
			_, err := runtime.Recv(ctx, c, 1-c.Rank(), 0, buf)
			return err
		}
		const runs = 100
		if c.Rank() == 1 {
			for range runs + 1 { // AllocsPerRun runs once more to warm up
				if err := exchange(); err != nil {
					return err
				}
			}
			return nil
		}
		var failed error
		if got := testing.AllocsPerRun(runs, func() { failed = stderrors.Join(failed, exchange()) }); got >= 1 {
			return fmt.Errorf("an exchange over tcp allocates %v times", got)
		}
		return failed
	})
}
