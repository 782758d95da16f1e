package runtime

// PrepareSend makes a Send that can be started again and again, without
// allocating: Start, Wait, change buf, Start. The request counts as ended before
// its first Start. buf is the runtime's from each Start until the request has
// ended. Wrong arguments are the error of each Wait.
func PrepareSend[T Elem](c *Comm, dst int, tag Tag, buf []T) *Request {
	return prepared(c.sender(dst, tag, elemOf[T](), 0, [][]byte{bytesOf(buf)}))
}

// PrepareRecv makes a Recv that can be started again and again, as PrepareSend
// makes a Send.
func PrepareRecv[T Elem](c *Comm, src int, tag Tag, buf []T) *Request {
	return prepared(c.getter(src, tag, into(buf)))
}

func prepared(r *Request) *Request {
	r.prepared = true
	r.firstKind = r.head.Kind
	r.done.Store(true)
	return r
}

// Start starts a request that was prepared and has ended. It panics for another
// one: that would give its buffer away twice.
func (r *Request) Start() {
	if !r.prepared {
		panic("runtime: start of a request that was not prepared")
	}
	e := r.e
	if e == nil {
		return // NoRank, or wrong arguments
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !r.done.Load() {
		panic("runtime: start of a request that has not ended")
	}
	r.done.Store(false)
	r.err, r.status = nil, Status{}
	if err := e.broken(r.group); err != nil {
		r.group.link(r)
		e.complete(r, err)
		return
	}
	if r.kind == opSend {
		r.head.Kind = r.firstKind // one that had to be announced may be sent at once
		e.start(r)
		e.flushAfter(r)
	} else {
		e.post(r)
		e.flush()
	}
}
