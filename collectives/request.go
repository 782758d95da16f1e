package collectives

import "context"

// Request is a started call. It is waited for by one goroutine at a time; until
// it has ended, its slices are the call's.
//
// Started calls make progress by themselves. All ranks start the same calls in
// the same order, together with their blocking calls; 8 run at a time on a
// communicator, others wait for one of these to end.
type Request struct {
	s    *state
	task task
	lane *lane
	done chan error // one value for each run
	err  error      // of the run before it started, or after it has ended
	live bool       // started, and not waited for
}

// Wait waits until the call has ended and returns its error. When ctx ends
// first, the call is given up on this rank, and so on all: they get
// [ErrAbandoned].
func (r *Request) Wait(ctx context.Context) error {
	if !r.live {
		return r.err
	}
	select {
	case r.err = <-r.done:
	case <-ctx.Done():
		cause := context.Cause(ctx)
		r.s.giveUp(r, cause)
		r.err = <-r.done
	}
	r.live = false
	return r.err
}

// Test reports whether the call has ended, and if so its error.
func (r *Request) Test() (bool, error) {
	if !r.live {
		return true, r.err
	}
	select {
	case r.err = <-r.done:
		r.live = false
		return true, r.err
	default:
		return false, nil
	}
}

// WaitAll waits for all requests and returns the first error, by position.
func WaitAll(ctx context.Context, rs ...*Request) error {
	var first error
	for _, r := range rs {
		if err := r.Wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Plan is a prepared call: it holds schedule and buffers, and is run any number
// of times, by one goroutine at a time, without allocation. All ranks prepare
// and run the same plans, in the same order as their other calls; to prepare
// one is local.
type Plan struct{ r Request }

// Run runs the call and waits for it, as the blocking function does; it meets
// that at other ranks.
func (p *Plan) Run(ctx context.Context) error {
	p.r.mustRest()
	p.r.s.lock()
	defer p.r.s.busy.Unlock()
	return p.r.s.run(ctx, &p.r.task)
}

// Start starts the call, as the function does whose name begins with Start; it
// meets that at other ranks. Wait must follow.
func (p *Plan) Start() {
	p.r.mustRest()
	p.r.s.start(&p.r)
}

// Wait waits for the call that was started last; see [Request.Wait].
func (p *Plan) Wait(ctx context.Context) error { return p.r.Wait(ctx) }

// Test reports whether the call that was started last has ended; see
// [Request.Test].
func (p *Plan) Test() (bool, error) { return p.r.Test() }

func (r *Request) mustRest() {
	if r.live {
		panic("collectives: a plan is run that has been started and not waited for")
	}
}

// start gives a call to its lane.
func (s *state) start(r *Request) {
	if r.done == nil {
		r.done = make(chan error, 1)
	}
	r.task.f.started = true
	r.live = true
	if err := s.enter(&r.task); err != nil {
		r.done <- err
		return
	}
	s.join()
	s.mu.Lock()
	defer s.mu.Unlock()
	id := 1 + int(s.begun%started)
	s.begun++
	r.lane = &s.lanes[id]
	s.queues[id] = append(s.queues[id], r)
	if !s.working[id] {
		s.working[id] = true
		go r.lane.loop() // a value, not a method: a go statement of that allocates
	}
}

// work runs the calls of a lane until there are none.
func (l *lane) work() {
	over := false
	defer func() {
		// A panic that is not the program's goes on.
		if !over && l.combining {
			l.survive(recover())
		}
	}()
	for r := l.next(); r != nil; r = l.next() {
		err := l.s.ended(r.task.f.seq)
		if err == nil {
			err = l.perform(context.Background(), &r.task)
		}
		l.s.running.Add(-1)
		r.done <- err
	}
	over = true
}

// survive is the end of work in the middle of a call, whose operation has panicked
// with a value, or has ended the goroutine: the job ends as it does in a blocking
// call. The calls that wait for the lane hear of it from another goroutine, since
// this one may be at its end.
func (l *lane) survive(value any) {
	l.combining = false
	s, seq := l.s, l.f.seq
	err := s.c.Panicked(l.f.String()+" on "+s.c.Name(), value)
	l.finish(err)
	s.mu.Lock()
	s.end(seq, err)
	s.mu.Unlock()
	s.running.Add(-1)
	l.turn.done <- err
	go l.loop() // frees the lane first
}

// next is the call that waits for the lane, which stays in the queue while it
// runs; the one before is taken out.
func (l *lane) next() *Request {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.turn != nil {
		s.unqueue(l.id, 0)
		l.gaveUp.Store(nil)
		l.turn = nil
	}
	if len(s.queues[l.id]) == 0 {
		s.working[l.id] = false
		return nil
	}
	l.turn = s.queues[l.id][0]
	return l.turn
}

func (s *state) unqueue(id, i int) {
	q := s.queues[id]
	copy(q[i:], q[i+1:])
	q[len(q)-1] = nil
	s.queues[id] = q[:len(q)-1]
}

// giveUp ends a started call.
func (s *state) giveUp(r *Request, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.lane == nil {
		return
	}
	for i, q := range s.queues[r.lane.id] {
		switch {
		case q != r:
		case i == 0:
			r.lane.gaveUp.Store(&cause)
			r.lane.wake()
			return
		default:
			s.unqueue(r.lane.id, i)
			s.running.Add(-1)
			r.done <- s.abandoned(&r.task.f, cause)
			return
		}
	}
}
