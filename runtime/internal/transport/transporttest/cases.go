package transporttest

import (
	"sync"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// testOrder sends frames of all sorts of sizes between all pairs at once.
func testOrder(t *testing.T, s Suite) {
	sizes := []int{0, 8, 1, 3, 31, 32, 33, 0, 1023, 1024, 1025, 4095, 8, 65535, 65536 - wire.HeaderSize, 65536, 65537, 16, 1<<20 + 1, 5, 3<<20 + 7, 0, 8}
	const repeats = 2
	for _, n := range []int{2, 3, 5} {
		if n == 5 {
			sizes = sizes[:18] // big ones between 20 pairs take long under the race detector
		}
		ranks := connect(t, s, n)
		stop := drive(t, ranks...)
		headers := func(from int) (hs []wire.Header) {
			for seq := range repeats * len(sizes) {
				h := header(from, seq, sizes[seq%len(sizes)])
				if seq%7 == 3 {
					h.Kind, h.Length = wire.Request, 1<<30 // announces, carries nothing
				}
				hs = append(hs, h)
			}
			return hs
		}
		var wg sync.WaitGroup
		told := make([][]*completion, n)
		for _, r := range ranks {
			wg.Go(func() {
				for seq, h := range headers(r.id) {
					for k := 1; k < n; k++ {
						var c *completion
						if (seq+k)%2 == 0 {
							c = new(completion)
							told[r.id] = append(told[r.id], c)
						}
						b := pattern(make([]byte, h.Payload()), h.ID)
						parts := seq % 5
						if len(b) > 0 {
							parts++
						}
						r.send((r.id+k)%n, h, split(b, parts), c)
					}
				}
			})
		}
		wg.Wait()
		var sent, received uint64
		for _, r := range ranks {
			r.until(t, "all frames", func() bool {
				for peer := range n {
					if peer != r.id && len(r.frames[peer]) < repeats*len(sizes) {
						return false
					}
				}
				return true
			})
			r.until(t, "all completions", func() bool {
				for _, c := range told[r.id] {
					if c.told == 0 {
						return false
					}
				}
				return true
			})
		}
		stop()
		for _, r := range ranks {
			for peer := range n {
				if peer == r.id {
					continue
				}
				if got, want := len(r.frames[peer]), repeats*len(sizes); got != want {
					t.Fatalf("rank %d: %d frames from %d, want %d", r.id, got, peer, want)
				}
				for seq, h := range headers(peer) {
					checkFrame(t, r.id, peer, seq, h, r.frames[peer][seq])
				}
			}
			for i, c := range told[r.id] {
				if c.told != 1 || c.err != nil {
					t.Errorf("rank %d: completion %d told %d times, error %v", r.id, i, c.told, c.err)
				}
			}
			if r.tr.Pending() {
				t.Errorf("rank %d: frames pending although all have arrived", r.id)
			}
			a, b := r.tr.Bytes()
			sent, received = sent+a, received+b
		}
		if sent != received || sent == 0 {
			t.Errorf("%d ranks: %d bytes sent, %d received", n, sent, received)
		}
	}
}

// testSmallFrames sends many frames that can share reads and writes.
func testSmallFrames(t *testing.T, s Suite) {
	const frames = 5000
	ranks := connect(t, s, 2)
	stop := drive(t, ranks...)
	var wg sync.WaitGroup
	for _, r := range ranks {
		wg.Go(func() {
			for seq := range frames {
				h := header(r.id, seq, seq%17)
				r.send(1-r.id, h, [][]byte{pattern(make([]byte, seq%17), h.ID)}, nil)
			}
		})
	}
	wg.Wait()
	for _, r := range ranks {
		r.until(t, "all frames", func() bool { return len(r.frames[1-r.id]) == frames })
	}
	stop()
	for _, r := range ranks {
		for seq, f := range r.frames[1-r.id] {
			checkFrame(t, r.id, 1-r.id, seq, header(1-r.id, seq, seq%17), f)
		}
	}
}

// testSlowReceiver sends far more than sockets hold to a rank that does not
// poll, and lets it poll then.
func testSlowReceiver(t *testing.T, s Suite) {
	const frames, size = 100, 256<<10 + 3
	ranks := connect(t, s, 3)
	drive(t, ranks[0])
	var told []*completion
	for seq := range frames {
		h := header(0, seq, size)
		var c *completion
		if seq%3 > 0 {
			c = new(completion)
			told = append(told, c)
		}
		ranks[0].send(1, h, split(pattern(make([]byte, size), h.ID), 3), c)
		if seq%10 == 0 { // small ones in between, and another peer that must not wait
			h := header(0, frames+seq, 8)
			ranks[0].send(1, h, [][]byte{pattern(make([]byte, 8), h.ID)}, nil)
			ranks[0].send(2, h, [][]byte{pattern(make([]byte, 8), h.ID)}, nil)
		}
	}
	drive(t, ranks[2])
	ranks[2].until(t, "frames beside a stuck peer", func() bool { return len(ranks[2].frames[0]) == frames/10 })
	stop := drive(t, ranks[1])
	ranks[1].until(t, "all frames", func() bool { return len(ranks[1].frames[0]) == frames+frames/10 })
	ranks[0].until(t, "all completions", func() bool {
		for _, c := range told {
			if c.told == 0 {
				return false
			}
		}
		return !ranks[0].tr.Pending()
	})
	stop()
	at := 0
	for seq := range frames {
		checkFrame(t, 1, 0, seq, header(0, seq, size), ranks[1].frames[0][at])
		at++
		if seq%10 == 0 {
			checkFrame(t, 1, 0, frames+seq, header(0, frames+seq, 8), ranks[1].frames[0][at])
			at++
		}
	}
	ranks[0].mu.Lock()
	defer ranks[0].mu.Unlock()
	for i, c := range told {
		if c.told != 1 || c.err != nil {
			t.Errorf("completion %d told %d times, error %v", i, c.told, c.err)
		}
	}
}

// testPingPong polls with a hint, as a caller that waits for one rank.
func testPingPong(t *testing.T, s Suite) {
	const rounds = 500
	ranks := connect(t, s, 3)
	drive(t, ranks[2])
	var wg sync.WaitGroup
	for _, r := range ranks[:2] {
		wg.Go(func() {
			peer := 1 - r.id
			await := func(n int) {
				for {
					r.mu.Lock()
					done := len(r.frames[peer]) >= n || len(r.lost) > 0
					r.mu.Unlock()
					if done {
						return
					}
					if !r.poll(peer) {
						r.tr.Wait(-1)
					}
				}
			}
			for seq := range rounds {
				if r.id == 1 {
					await(seq + 1)
				}
				h := header(r.id, seq, 8)
				r.send(peer, h, [][]byte{pattern(make([]byte, 8), h.ID)}, nil)
				if r.id == 0 {
					await(seq + 1)
					r.send(2, h, nil2(h), nil)
				}
			}
			for pending := true; pending; { // nobody else drives this rank
				if !r.poll(-1) {
					r.tr.Wait(time.Millisecond)
				}
				r.mu.Lock()
				pending = r.tr.Pending()
				r.mu.Unlock()
			}
		})
	}
	wg.Wait()
	ranks[2].until(t, "the third rank's frames", func() bool { return len(ranks[2].frames[0]) == rounds })
	for _, r := range ranks[:2] {
		for seq := range rounds {
			checkFrame(t, r.id, 1-r.id, seq, header(1-r.id, seq, 8), r.frames[1-r.id][seq])
		}
	}
}

// nil2 is the payload of h behind an empty slice.
func nil2(h wire.Header) [][]byte {
	return [][]byte{nil, pattern(make([]byte, h.Payload()), h.ID)}
}

// testThrownAway gives no memory for payloads.
func testThrownAway(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	ranks[1].drop = true
	stop := drive(t, ranks...)
	sizes := []int{1, 0, 100, 1 << 20, 65536, 2<<20 + 5}
	for seq, size := range sizes {
		h := header(0, seq, size)
		ranks[0].send(1, h, nil2(h), nil)
	}
	ranks[1].until(t, "frames without memory", func() bool { return len(ranks[1].frames[0]) == len(sizes) })
	ranks[1].mu.Lock()
	ranks[1].drop = false
	ranks[1].mu.Unlock()
	last := header(0, len(sizes), 77)
	ranks[0].send(1, last, nil2(last), nil)
	ranks[1].until(t, "a frame behind them", func() bool { return len(ranks[1].frames[0]) == len(sizes)+1 })
	stop()
	for seq, size := range sizes {
		if got := ranks[1].frames[0][seq].h; got != header(0, seq, size) {
			t.Errorf("frame %d: header %+v", seq, got)
		}
	}
	checkFrame(t, 1, 0, len(sizes), last, ranks[1].frames[0][len(sizes)])
}

// testDiscard takes memory back while a payload is arriving in it.
func testDiscard(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	ranks[1].tr.Discard(0) // without a frame: nothing
	drive(t, ranks[0])
	h := header(0, 0, 32<<20)
	payload := pattern(make([]byte, h.Payload()), h.ID)
	ranks[0].send(1, h, [][]byte{payload}, new(completion))
	var b []byte
	limit := time.Now().Add(patience)
	for b == nil && len(ranks[1].frames[0]) == 0 {
		if !ranks[1].poll(0) {
			ranks[1].tr.Wait(time.Second)
		}
		if b = ranks[1].begun[0]; time.Now().After(limit) {
			t.Fatal("the frame does not begin")
		}
	}
	if b != nil { // a transport may deliver a whole frame at once
		ranks[1].tr.Discard(0)
		for i := range b {
			b[i] = 0xaa
		}
	}
	next := header(0, 1, 9)
	ranks[0].send(1, next, nil2(next), nil)
	stop := drive(t, ranks[1])
	ranks[1].until(t, "both frames", func() bool { return len(ranks[1].frames[0]) == 2 })
	stop()
	for i := range b {
		if b[i] != 0xaa {
			t.Fatalf("byte %d was written after Discard", i)
		}
	}
	checkFrame(t, 1, 0, 1, next, ranks[1].frames[0][1])
}

// testDetach takes payloads back that have not left.
func testDetach(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	const frames, size = 6, 8<<20 + 1
	var told []*completion
	var payloads [][]byte
	for seq := range frames {
		h := header(0, seq, size)
		b := pattern(make([]byte, size), h.ID)
		c := new(completion)
		ranks[0].send(1, h, split(b, 4), c)
		told, payloads = append(told, c), append(payloads, b)
	}
	for _, seq := range []int{frames - 1, 0, 2} {
		if told[seq].told > 0 {
			continue // it has left
		}
		ranks[0].mu.Lock()
		ranks[0].tr.Detach(1, told[seq])
		ranks[0].mu.Unlock()
		told[seq].told = -1
		clear(payloads[seq])
	}
	ranks[0].tr.Detach(1, new(completion)) // nobody's: nothing
	stop := drive(t, ranks...)
	ranks[1].until(t, "all frames", func() bool { return len(ranks[1].frames[0]) == frames })
	ranks[0].until(t, "all completions", func() bool {
		for _, c := range told {
			if c.told == 0 {
				return false
			}
		}
		return !ranks[0].tr.Pending()
	})
	stop()
	for seq, c := range told {
		checkFrame(t, 1, 0, seq, header(0, seq, size), ranks[1].frames[0][seq])
		if c.told != 1 && c.told != -1 {
			t.Errorf("completion %d told %d times", seq, c.told)
		}
	}
}

// testLost closes one rank of three.
func testLost(t *testing.T, s Suite) {
	ranks := connect(t, s, 3)
	drive(t, ranks[:2]...)
	stop2 := drive(t, ranks[2])
	for _, r := range ranks[:2] {
		h := header(r.id, 0, 100)
		r.send(2, h, nil2(h), nil)
		ranks[2].until(t, "a frame", func() bool { return len(ranks[2].frames[r.id]) == 1 })
	}
	stop2()
	ranks[2].close(t)
	for _, r := range ranks[:2] {
		r.until(t, "loss of rank 2", func() bool { return len(r.lost[2]) > 0 })
		c := new(completion)
		h := header(r.id, 1, 1<<20)
		r.send(2, h, nil2(h), c)
		r.until(t, "a frame to a lost rank vanishes", func() bool { return c.told == 1 })
	}
	for _, r := range ranks[:2] { // the others go on
		h := header(r.id, 0, 1000)
		r.send(1-r.id, h, nil2(h), nil)
	}
	for _, r := range ranks[:2] {
		r.until(t, "a frame after the loss", func() bool { return len(r.frames[1-r.id]) == 1 })
		r.mu.Lock()
		if len(r.lost[2]) != 1 || len(r.lost[1-r.id]) != 0 {
			t.Errorf("rank %d: lost %v, want rank 2 once", r.id, r.lost)
		}
		r.mu.Unlock()
	}
}

// testLostWhileSending closes a rank that has not read what was sent to it.
func testLostWhileSending(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	stop := drive(t, ranks[0])
	var told []*completion
	for seq := range 40 {
		h := header(0, seq, 1<<20)
		c := new(completion)
		told = append(told, c)
		ranks[0].send(1, h, [][]byte{make([]byte, 1<<20)}, c)
	}
	ranks[1].close(t)
	ranks[0].until(t, "loss of rank 1", func() bool { return len(ranks[0].lost[1]) > 0 })
	ranks[0].until(t, "all completions", func() bool {
		for _, c := range told {
			if c.told == 0 {
				return false
			}
		}
		return !ranks[0].tr.Pending()
	})
	stop()
	if n := len(ranks[0].lost[1]); n != 1 {
		t.Errorf("rank 1 lost %d times", n)
	}
	for i, c := range told {
		if c.told != 1 {
			t.Errorf("completion %d told %d times", i, c.told)
		}
	}
}

// testCondemned has a receiver refuse a frame.
func testCondemned(t *testing.T, s Suite) {
	ranks := connect(t, s, 3)
	ranks[1].refuse = errRefused
	stop := drive(t, ranks...)
	h := header(0, 0, 5000)
	ranks[0].send(1, h, nil2(h), nil)
	ranks[1].until(t, "loss of rank 0", func() bool { return len(ranks[1].lost[0]) > 0 })
	ranks[0].until(t, "loss of rank 1", func() bool { return len(ranks[0].lost[1]) > 0 })
	ranks[1].mu.Lock()
	ranks[1].refuse = nil
	ranks[1].mu.Unlock()
	ranks[2].send(1, h, nil2(h), nil)
	ranks[1].until(t, "a frame of another", func() bool { return len(ranks[1].frames[2]) == 1 })
	stop()
	if len(ranks[1].frames[0]) != 0 || len(ranks[1].lost[0]) != 1 || len(ranks[0].lost[1]) != 1 {
		t.Errorf("frames %d, lost %v and %v", len(ranks[1].frames[0]), ranks[1].lost, ranks[0].lost)
	}
}

// testDrainThenClose closes as soon as nothing is pending: all must arrive.
func testDrainThenClose(t *testing.T, s Suite) {
	const frames, size = 20, 1<<20 + 1
	ranks := connect(t, s, 2)
	stop1 := drive(t, ranks[1])
	stop0 := drive(t, ranks[0])
	for seq := range frames {
		h := header(0, seq, size)
		ranks[0].send(1, h, nil2(h), nil)
	}
	ranks[0].until(t, "nothing pending", func() bool { return !ranks[0].tr.Pending() })
	stop0()
	ranks[0].close(t)
	ranks[1].until(t, "loss of rank 0", func() bool { return len(ranks[1].lost[0]) > 0 })
	stop1()
	if got := len(ranks[1].frames[0]); got != frames {
		t.Fatalf("%d frames before the loss, want %d", got, frames)
	}
	for seq, f := range ranks[1].frames[0] {
		checkFrame(t, 1, 0, seq, header(0, seq, size), f)
	}
}

// testWait checks that Wait ends by a frame and by time.
func testWait(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	r := ranks[1]
	for r.poll(-1) {
	}
	start := time.Now()
	r.tr.Wait(0)
	for range 3 { // the first may end early by what came before
		start = time.Now()
		r.tr.Wait(5 * time.Millisecond)
	}
	if d := time.Since(start); d < 4*time.Millisecond {
		t.Errorf("Wait(5ms) ended after %v without cause", d)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for len(r.frames[0]) == 0 {
			if !r.poll(-1) {
				r.tr.Wait(-1)
			}
		}
	}()
	drive(t, ranks[0])
	h := header(0, 0, 8)
	ranks[0].send(1, h, nil2(h), nil)
	await(t, over, "Wait does not end by a frame")
}

// testWake checks that no Wake is lost.
func testWake(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	r := ranks[0]
	for range 3 {
		r.tr.Wake()
		r.tr.Wake()
		over := make(chan struct{})
		go func() {
			defer close(over)
			r.tr.Wait(-1)
		}()
		await(t, over, "Wake before Wait is lost")
	}
	// Each Wait is ended by the Wake that follows its announcement, whether the
	// Wake comes before or after the waiter has fallen asleep.
	const rounds = 2000
	turn, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for range rounds {
			turn <- struct{}{}
			r.tr.Wait(-1)
		}
	}()
	for range rounds {
		await(t, turn, "a Wake is lost")
		r.tr.Wake()
	}
	await(t, over, "the last Wake is lost")
}

// testClose closes twice, and uses a closed transport.
func testClose(t *testing.T, s Suite) {
	ranks := connect(t, s, 2)
	drive(t, ranks[1])
	r := ranks[0]
	r.close(t)
	r.close(t)
	h := header(0, 0, 8)
	c := new(completion)
	r.send(1, h, nil2(h), c)
	if c.told != 1 {
		t.Error("a frame does not vanish in a closed transport")
	}
	r.poll(-1)
	r.poll(1)
	r.tr.Wake()
	if len(r.frames) != 0 {
		t.Error("a frame out of a closed transport")
	}
	ranks[1].until(t, "loss of rank 0", func() bool { return len(ranks[1].lost[0]) > 0 })
}

func await(t *testing.T, c <-chan struct{}, complaint string) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-c:
	case <-limit.C:
		t.Fatal(complaint)
	}
}
