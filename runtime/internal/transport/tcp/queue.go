package tcp

import (
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	chunkSize = 64 << 10 // of the buffers that hold what could not leave at once
	maxSpare  = 64       // such buffers that a transport keeps for later
	smallSize = 1 << 10  // payloads up to this size are copied next to their header
)

// chunk is a buffer shared by the segments that lie in it.
type chunk struct {
	refs int // segments
	n    int // bytes used
	b    [chunkSize]byte
}

// pool keeps chunks for reuse.
type pool struct{ spare []*chunk }

func (p *pool) get() *chunk {
	if n := len(p.spare); n > 0 {
		c := p.spare[n-1]
		p.spare[n-1] = nil
		p.spare = p.spare[:n-1]
		return c
	}
	return new(chunk)
}

func (p *pool) put(c *chunk) {
	if len(p.spare) < maxSpare {
		c.n = 0
		p.spare = append(p.spare, c)
	}
}

// segment is a run of bytes to be sent: in a chunk, or a sender's own memory.
type segment struct {
	data []byte
	home *chunk               // that data lies in; nil: the sender's memory
	end  int                  // where data ends in home
	done transport.Completion // told when data has left; may be nil
}

// outcome is a completion that Poll has yet to tell.
type outcome struct {
	done transport.Completion // nil: not wanted any more
	err  error
}

// queue holds the frames to one peer that have not left, in order. Small ones
// lie side by side in chunks, so that one write takes many.
type queue struct {
	segs []segment
	head int       // segments before it have left
	tail *chunk    // has room for more; nil when no segment lies in it any more
	old  []segment // scratch of own
}

func (q *queue) empty() bool { return q.head == len(q.segs) }

// pending is the segments to send, oldest first.
func (q *queue) pending() []segment { return q.segs[q.head:] }

// push appends a frame. It copies the payload when it is small, and refers to
// it otherwise, until done is told or own is called.
func (q *queue) push(p *pool, h *wire.Header, payload [][]byte, size int, done transport.Completion) {
	var head [wire.HeaderSize]byte
	h.Encode(head[:])
	q.copy(p, head[:])
	for _, b := range payload {
		switch {
		case len(b) == 0:
		case size <= smallSize:
			q.copy(p, b)
		default:
			q.segs = append(q.segs, segment{data: b})
		}
	}
	q.segs[len(q.segs)-1].done = done
}

// copy appends b to the chunk in use and to as many new ones as it takes.
func (q *queue) copy(p *pool, b []byte) {
	for len(b) > 0 {
		c := q.tail
		if c == nil || c.n == chunkSize {
			c = p.get()
			q.tail = c
		}
		var last *segment
		if !q.empty() {
			last = &q.segs[len(q.segs)-1]
		}
		if last == nil || last.home != c || last.end != c.n || last.done != nil {
			c.refs++
			q.segs = append(q.segs, segment{data: c.b[c.n:c.n], home: c, end: c.n})
			last = &q.segs[len(q.segs)-1]
		}
		n := copy(c.b[c.n:], b)
		c.n += n
		last.data = last.data[:len(last.data)+n]
		last.end = c.n
		b = b[n:]
	}
}

// own copies what still refers to the sender's memory, of the newest frame when
// done is nil, which is what it was pushed with, and else of the frame pushed
// with done, which is forgotten. It reports whether there is such a frame.
func (q *queue) own(p *pool, done transport.Completion) bool {
	last := len(q.segs) - 1
	for done != nil && last >= q.head && q.segs[last].done != done {
		last--
	}
	if last < q.head {
		return false
	}
	// Segments that refer to a sender's memory belong to frames that are still
	// to be told, but for those of the newest frame while it is being pushed:
	// going back from last, they are the frame's own up to the next completion.
	first := last
	for first > q.head && q.segs[first-1].done == nil {
		first--
	}
	q.old = append(q.old[:0], q.segs[first:]...)
	clear(q.segs[first:])
	q.segs = q.segs[:first]
	for i := range q.old {
		s := &q.old[i]
		if first+i == last {
			s.done = nil
		}
		if first+i > last || s.home != nil {
			q.segs = append(q.segs, *s)
		} else {
			q.copy(p, s.data)
		}
	}
	clear(q.old)
	return true
}

// advance removes the first n bytes, and the segments that end in them, and
// appends their completions to out.
func (q *queue) advance(p *pool, n int, out []outcome) []outcome {
	for q.head < len(q.segs) {
		s := &q.segs[q.head]
		if n < len(s.data) {
			s.data = s.data[n:]
			if q.head >= 64 && q.head > len(q.segs)/2 { // a queue that never runs empty
				k := copy(q.segs, q.pending())
				clear(q.segs[k:])
				q.segs, q.head = q.segs[:k], 0
			}
			return out
		}
		n -= len(s.data)
		out = q.remove(p, nil, out)
	}
	q.segs, q.head = q.segs[:0], 0
	return out
}

// fail empties the queue; its completions end with err.
func (q *queue) fail(p *pool, err error, out []outcome) []outcome {
	for !q.empty() {
		out = q.remove(p, err, out)
	}
	q.segs, q.head = q.segs[:0], 0
	return out
}

// remove takes the oldest segment out of the queue.
func (q *queue) remove(p *pool, err error, out []outcome) []outcome {
	s := &q.segs[q.head]
	if s.done != nil {
		out = append(out, outcome{s.done, err})
	}
	if c := s.home; c != nil {
		if c.refs--; c.refs == 0 {
			if c == q.tail {
				q.tail = nil
			}
			p.put(c)
		}
	}
	*s = segment{}
	q.head++
	return out
}

// total is the length of a payload in bytes.
func total(payload [][]byte) (n int) {
	for _, b := range payload {
		n += len(b)
	}
	return n
}

// forget takes the completion out of outcomes that are yet to be told.
func forget(outcomes []outcome, done transport.Completion) {
	for i := range outcomes {
		if outcomes[i].done == done {
			outcomes[i].done = nil
		}
	}
}
