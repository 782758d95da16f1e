package runtime

import (
	"slices"
	"strconv"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

const (
	stallLooks = 4 // at what waits, within the time after which a wait is a stall
	mostWaits  = 8 // that a rank reports, the oldest
	stallPast  = 2 // times that time: what has not changed since is not told again
	leastTick  = 10 * time.Millisecond
)

// Naming returns the same communicator for a library whose calls are made of
// messages: where it is reported what ranks wait for, its calls are named by
// op, "call 7, barrier" say, instead of by these messages. A call waits for all
// of the ranks whose messages it lacks. op may be called at any time, by any
// goroutine. Calls of the same name on the same communicator belong together.
func (c *Comm) Naming(op func() string) *Comm {
	return &Comm{e: c.e, group: c.group, space: c.space, op: op}
}

// waitList is the goroutines that are parked, when somebody wants to know.
type waitList struct {
	on    bool
	first *waiter
}

// add notes that a goroutine is about to wait for any of some requests.
func (l *waitList) add(w *waiter, rs []*Request) {
	if !l.on {
		return
	}
	w.since, w.requests = time.Now(), append(w.requests[:0], rs...) // a copy: rs may be on the stack
	w.prev, w.next = nil, l.first
	if l.first != nil {
		l.first.prev = w
	}
	l.first = w
}

func (l *waitList) remove(w *waiter) {
	if !l.on {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	clear(w.requests)
}

// reportStalls tells the launcher what this rank has waited for since its last
// look but one or longer, until the engine ends. A rank that waits briefly says
// nothing; one that has said something says when it is over.
func (e *engine) reportStalls(limit time.Duration, to *telemetry.Recorder) {
	tick := time.NewTicker(max(limit/stallLooks, leastTick))
	defer tick.Stop()
	var ended uint64 // requests that had, when that last changed
	changed := time.Now()
	told := false
	for {
		select {
		case <-e.stopped:
			return
		case <-tick.C:
		}
		now := time.Now()
		waits, total := e.waits(now, limit/stallLooks)
		if total != ended {
			ended, changed = total, now
		}
		idle := now.Sub(changed)
		if len(waits) == 0 && !told || len(waits) > 0 && idle > stallPast*limit {
			continue
		}
		told = len(waits) > 0
		to.Record(telemetry.Event{Kind: telemetry.WaitsKind, Waits: waits, Ended: total, Idle: idle.Seconds()})
	}
}

// waits describes what goroutines of this rank have waited for that long or
// longer, oldest first, and counts the requests that have ended.
func (e *engine) waits(now time.Time, least time.Duration) (waits []telemetry.Wait, ended uint64) {
	var names []func() string
	e.mu.Lock()
	for w := e.parkers.first; w != nil; w = w.next { // newest first
		since := now.Sub(w.since)
		if since < least || len(w.requests) == 0 {
			continue
		}
		wait, name := describeWait(w.requests)
		wait.Seconds = since.Seconds()
		waits, names = append(waits, wait), append(names, name)
	}
	if since := now.Sub(e.sending); !e.sending.IsZero() && since >= least {
		at := 0 // among those by age
		for at < len(waits) && waits[at].Seconds < since.Seconds() {
			at++
		}
		waits = slices.Insert(waits, at, telemetry.Wait{Op: telemetry.Leaving, Seconds: since.Seconds()})
		names = slices.Insert(names, at, nil)
	}
	ended = e.ended
	e.mu.Unlock()
	slices.Reverse(waits)
	slices.Reverse(names)
	if len(waits) > mostWaits {
		waits, names = waits[:mostWaits], names[:mostWaits]
	}
	for i, name := range names { // without the lock: a library has locks of its own
		if name != nil {
			waits[i].Op = name() + waits[i].Op
		}
	}
	return waits, ended
}

// describeWait says what a goroutine that waits for any of some requests waits
// for. With a name, it is to be put before Op.
func describeWait(rs []*Request) (wait telemetry.Wait, name func() string) {
	wait.Sure = true
	var many int
	for _, r := range rs {
		if r == nil || r.done.Load() {
			continue
		}
		if r.op != nil {
			// Of a library: what comes from any rank is news to it, not what it waits for.
			if name = r.op; r.peer < 0 {
				continue
			}
			wait.Op = " on " + r.group.name
		} else if wait.Op = r.long(); r.kind == opLeave {
			return telemetry.Wait{Op: telemetry.Leaving}, nil
		}
		many++
		wait.Sure = wait.Sure && r.kind <= opMatch && r.unmet()
		switch {
		case r.peer >= 0:
			wait.On = append(wait.On, r.peer)
		case r.group != nil && r.group.index != nil:
			wait.On = append(wait.On, r.group.ranks...)
		default:
			wait.Everyone = true
		}
		wait.Any = wait.Any || r.peer < 0
	}
	if name == nil && many > 1 {
		wait.Op, wait.Any = "wait for any of "+strconv.Itoa(many)+" requests", true
	}
	slices.Sort(wait.On)
	wait.On = slices.Compact(wait.On)
	return wait, name
}

// unmet reports whether the other rank's body has yet to do its part, as far as
// this rank knows.
func (r *Request) unmet() bool {
	switch r.phase {
	case posted, queued, announced, delivered, offered:
		return true
	}
	return r.pulls()
}

// long is String with what tells apart calls of the same kind.
func (r *Request) long() string {
	s := r.String()
	switch {
	case r.port != "":
		s += ", port " + r.port
	case r.kind == opSend:
		s += ", tag " + strconv.FormatUint(uint64(r.head.Tag), 10)
	case r.kind <= opMatch && r.entry.Tag == uint32(AnyTag):
		s += ", any tag"
	case r.kind <= opMatch:
		s += ", tag " + strconv.FormatUint(uint64(r.entry.Tag), 10)
	}
	return s
}
