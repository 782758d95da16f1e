package runtime

// spin polls as often as the transport says that it should before the core is
// given up, while none of the requests has ended and no other goroutine has
// been made runnable. The lock is held.
func (e *engine) spin(rs []*Request, hint int) {
	for polls := e.t.Polls(hint); polls > 0; polls-- {
		moved := e.t.Poll(e.around(hint))
		if len(rs) == 1 { // WaitFor waits for nothing beside
			moved = e.lookFor(rs[0]) || moved
		}
		if moved && (e.woke || firstDone(rs) >= 0) {
			return
		}
	}
}

// soon polls for a request that has just begun, where that costs no system
// call, and reports whether it has ended. A reply from a rank that shares
// memory with this one comes before another turn with the lock would begin.
// The lock is held.
func (e *engine) soon(r *Request) bool {
	if r.done.Load() {
		return true
	}
	hint := r.peer
	if hint == e.rank {
		hint = AnySource
	}
	if e.budget == 0 || e.size == 1 || e.computing.Load() > 1 || e.t.Polls(hint) == 1 {
		return false
	}
	one := [1]*Request{r}
	e.spin(one[:], hint)
	e.visits.Add(1)
	return r.done.Load()
}
