package agent

import (
	"os"
	"sync"
	"time"
)

// feeder writes standard input to rank 0. What arrives is bounded by
// StdinWindow, so that put never waits.
type feeder struct {
	pipe *os.File
	out  *Outbox

	mu     sync.Mutex
	more   *sync.Cond
	queue  [][]byte // guarded by mu; an empty one is the end
	closed bool     // guarded by mu
}

func newFeeder(pipe *os.File, out *Outbox) *feeder {
	f := &feeder{pipe: pipe, out: out}
	f.more = sync.NewCond(&f.mu)
	return f
}

// put queues input; an empty slice ends it. The slice is copied.
func (f *feeder) put(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, append([]byte(nil), b...))
	f.more.Signal()
}

// close ends run, whatever is queued: the rank has ended.
func (f *feeder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.more.Signal()
	_ = f.pipe.SetWriteDeadline(time.Unix(1, 0)) // closed already: nobody writes
}

// run writes until the end of the input or of the rank. A rank that closes its
// input does not stop the launcher: the rest is taken and dropped.
func (f *feeder) run() {
	defer f.pipe.Close()
	deaf := false
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.closed {
			f.more.Wait()
		}
		if f.closed {
			f.mu.Unlock()
			return
		}
		b := f.queue[0]
		f.queue = f.queue[1:]
		f.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if !deaf {
			_, err := f.pipe.Write(b)
			deaf = err != nil
		}
		f.out.Send(Frame{Kind: StdinRoom, Payload: Uint32(len(b))})
	}
}
