package runtime

// spin polls as often as the transport says that it should before the core is
// given up, while none of the requests has ended and no other goroutine has
// been made runnable. The lock is held.
func (e *engine) spin(rs []*Request, hint int) {
	for polls := e.t.Polls(hint); polls > 0; polls-- {
		if e.t.Poll(hint) && (e.woke || firstDone(rs) >= 0) {
			return
		}
	}
}
