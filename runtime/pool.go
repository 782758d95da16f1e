package runtime

// free keeps objects for reuse, so that the usual calls allocate nothing. It
// belongs to one engine: nothing is shared between jobs.
type free struct {
	requests []*Request
	messages []*message
	waiters  []*waiter
	buffers  [eagerClasses][][]byte
}

const (
	smallestClass = 6  // the smallest buffers have 1<<6 bytes
	eagerClasses  = 11 // up to 1<<16
	keep          = 64
)

func (e *engine) newRequest() *Request {
	if n := len(e.free.requests); n > 0 {
		r := e.free.requests[n-1]
		e.free.requests = e.free.requests[:n-1]
		return r
	}
	return new(Request)
}

func (e *engine) freeRequest(r *Request) {
	if len(e.free.requests) < keep {
		vec := r.payload[:0]
		clear(r.payload)
		into := r.into[:0]
		clear(r.into)
		*r = Request{payload: vec, into: into}
		e.free.requests = append(e.free.requests, r)
	}
}

func (e *engine) newMessage() *message {
	if n := len(e.free.messages); n > 0 {
		m := e.free.messages[n-1]
		e.free.messages = e.free.messages[:n-1]
		return m
	}
	return new(message)
}

func (e *engine) freeMessage(m *message) {
	e.freeBuffer(m.buf)
	if len(e.free.messages) < keep {
		*m = message{}
		e.free.messages = append(e.free.messages, m)
	}
}

func (e *engine) newWaiter() *waiter {
	if n := len(e.free.waiters); n > 0 {
		w := e.free.waiters[n-1]
		e.free.waiters = e.free.waiters[:n-1]
		return w
	}
	return &waiter{ch: make(chan struct{}, 1)}
}

// freeWaiter takes back a waiter that no request refers to any more.
func (e *engine) freeWaiter(w *waiter) {
	select {
	case <-w.ch:
	default:
	}
	if len(e.free.waiters) < keep {
		e.free.waiters = append(e.free.waiters, w)
	}
}

// newBuffer returns n bytes that freeBuffer may get back.
func (e *engine) newBuffer(n int) []byte {
	if n == 0 {
		return nil
	}
	if n > eagerLimit {
		return make([]byte, n)
	}
	class := classOf(n)
	if list := e.free.buffers[class]; len(list) > 0 {
		b := list[len(list)-1]
		e.free.buffers[class] = list[:len(list)-1]
		return b[:n]
	}
	return make([]byte, n, 1<<(class+smallestClass))
}

func (e *engine) freeBuffer(b []byte) {
	if cap(b) == 0 || cap(b) > eagerLimit {
		return
	}
	class := classOf(cap(b))
	if list := &e.free.buffers[class]; len(*list) < keep {
		*list = append(*list, b[:0])
	}
}

// classOf is the class of the smallest buffers that hold n bytes.
func classOf(n int) int {
	class := 0
	for n > 1<<(class+smallestClass) {
		class++
	}
	return class
}
