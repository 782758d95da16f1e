package frames

import (
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Sizes in bytes.
const (
	ChunkSize = 64 << 10 // of the buffers that hold what could not leave at once
	SmallSize = 1 << 10  // payloads up to this size are copied next to their header
	MaxFrame  = 1 << 40  // longest frame that is taken from a peer, unless a transport is told otherwise
)

const maxSpare = 64 // chunks that a transport keeps for later

// Chunk is a buffer shared by the segments that lie in it.
type Chunk struct {
	refs int // segments
	N    int // bytes used
	B    [ChunkSize]byte
}

// Pool keeps chunks for reuse.
type Pool struct{ spare []*Chunk }

// Get returns an empty chunk.
func (p *Pool) Get() *Chunk {
	if n := len(p.spare); n > 0 {
		c := p.spare[n-1]
		p.spare[n-1] = nil
		p.spare = p.spare[:n-1]
		return c
	}
	return new(Chunk)
}

// Put takes back a chunk that nobody refers to.
func (p *Pool) Put(c *Chunk) {
	if len(p.spare) < maxSpare {
		c.N = 0
		p.spare = append(p.spare, c)
	}
}

// Segment is a run of bytes to be sent: in a chunk, or a sender's own memory.
type Segment struct {
	Data []byte
	home *Chunk               // that data lies in; nil: the sender's memory
	end  int                  // where data ends in home
	done transport.Completion // told when data has left; may be nil
}

// Outcome is a completion that Poll has yet to tell.
type Outcome struct {
	Done transport.Completion // nil: not wanted any more
	Err  error
}

// Outcomes are in the order in which the frames have left.
type Outcomes []Outcome

// Tell tells all and reports whether there were any.
func (o *Outcomes) Tell() bool {
	if len(*o) == 0 {
		return false
	}
	for i := 0; i < len(*o); i++ { // a completion may send, and so add others
		if one := (*o)[i]; one.Done != nil {
			one.Done.Sent(one.Err)
		}
	}
	clear(*o)
	*o = (*o)[:0]
	return true
}

// Queue holds the frames to one peer that have not left, in order. Small ones
// lie side by side in chunks, so that one write takes many.
type Queue struct {
	segs []Segment
	head int       // segments before it have left
	tail *Chunk    // has room for more; nil when no segment lies in it any more
	old  []Segment // scratch of Own
}

// Empty reports whether all has left.
func (q *Queue) Empty() bool { return q.head == len(q.segs) }

// Pending is the segments to send, oldest first.
func (q *Queue) Pending() []Segment { return q.segs[q.head:] }

// Push appends a frame. It copies the payload when it is small, and refers to
// it otherwise, until done is told or Own is called.
func (q *Queue) Push(p *Pool, h *wire.Header, payload [][]byte, size int, done transport.Completion) {
	var head [wire.HeaderSize]byte
	h.Encode(head[:])
	q.Copy(p, head[:])
	for _, b := range payload {
		switch {
		case len(b) == 0:
		case size <= SmallSize:
			q.Copy(p, b)
		default:
			q.segs = append(q.segs, Segment{Data: b})
		}
	}
	q.segs[len(q.segs)-1].done = done
}

// Copy appends b to the chunk in use and to as many new ones as it takes.
func (q *Queue) Copy(p *Pool, b []byte) {
	for len(b) > 0 {
		c := q.tail
		if c == nil || c.N == ChunkSize {
			c = p.Get()
			q.tail = c
		}
		var last *Segment
		if !q.Empty() {
			last = &q.segs[len(q.segs)-1]
		}
		if last == nil || last.home != c || last.end != c.N || last.done != nil {
			c.refs++
			q.segs = append(q.segs, Segment{Data: c.B[c.N:c.N], home: c, end: c.N})
			last = &q.segs[len(q.segs)-1]
		}
		n := copy(c.B[c.N:], b)
		c.N += n
		last.Data = last.Data[:len(last.Data)+n]
		last.end = c.N
		b = b[n:]
	}
}

// Mark has done told when all that has been copied so far has left.
func (q *Queue) Mark(done transport.Completion) { q.segs[len(q.segs)-1].done = done }

// Own copies what still refers to the sender's memory, of the newest frame when
// done is nil, which is what it was pushed with, and else of the frame pushed
// with done, which is forgotten. It reports whether there is such a frame.
func (q *Queue) Own(p *Pool, done transport.Completion) bool {
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
			q.Copy(p, s.Data)
		}
	}
	clear(q.old)
	return true
}

// Advance removes the first n bytes, and the segments that end in them, and
// appends their completions to out.
func (q *Queue) Advance(p *Pool, n int, out Outcomes) Outcomes {
	for q.head < len(q.segs) {
		s := &q.segs[q.head]
		if n < len(s.Data) {
			s.Data = s.Data[n:]
			if q.head >= 64 && q.head > len(q.segs)/2 { // a queue that never runs empty
				k := copy(q.segs, q.Pending())
				clear(q.segs[k:])
				q.segs, q.head = q.segs[:k], 0
			}
			return out
		}
		n -= len(s.Data)
		out = q.remove(p, nil, out)
	}
	q.segs, q.head = q.segs[:0], 0
	return out
}

// Fail empties the queue; its completions end with err.
func (q *Queue) Fail(p *Pool, err error, out Outcomes) Outcomes {
	for !q.Empty() {
		out = q.remove(p, err, out)
	}
	q.segs, q.head = q.segs[:0], 0
	return out
}

// remove takes the oldest segment out of the queue.
func (q *Queue) remove(p *Pool, err error, out Outcomes) Outcomes {
	s := &q.segs[q.head]
	if s.done != nil {
		out = append(out, Outcome{s.done, err})
	}
	if c := s.home; c != nil {
		if c.refs--; c.refs == 0 {
			if c == q.tail {
				q.tail = nil
			}
			p.Put(c)
		}
	}
	*s = Segment{}
	q.head++
	return out
}

// Total is the length of a payload in bytes.
func Total(payload [][]byte) (n int) {
	for _, b := range payload {
		n += len(b)
	}
	return n
}

// Forget takes a completion out of outcomes that are yet to be told.
func (o Outcomes) Forget(done transport.Completion) {
	for i := range o {
		if o[i].Done == done {
			o[i].Done = nil
		}
	}
}
