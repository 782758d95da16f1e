package launcher

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// standing is what is known of what a rank does.
type standing struct {
	waits []telemetry.Wait
	ended uint64  // its calls that have
	idle  float64 // seconds in which none has
	same  int     // reports in a row that said the same
}

// left reports whether the body has returned.
func (s *standing) left() bool {
	return len(s.waits) > 0 && s.waits[0].Op == telemetry.Leaving
}

// stallWatch finds out from what ranks wait for when a job does not go on, and
// why. It is an observer of their events, owned by one goroutine but for end, and
// has no clock: what is old is said by the reports.
type stallWatch struct {
	hosts    []string // of each rank
	limit    float64  // seconds that a wait takes before it is told; doubles with each time
	say      func(text string)
	ranks    []standing
	deadlock string // told last
	open     bool   // something was told that is not over
	spared   int    // reports since the ranks were last looked at together

	ending atomic.Bool // calls end because the job does
}

func newStallWatch(hosts []string, limit time.Duration, say func(string)) *stallWatch {
	return &stallWatch{hosts: hosts, limit: limit.Seconds(), say: say, ranks: make([]standing, len(hosts))}
}

// end tells that the job is being ended: what ranks wait for explains nothing any
// more.
func (w *stallWatch) end() {
	if w != nil {
		w.ending.Store(true)
	}
}

// event takes an event of a rank.
func (w *stallWatch) event(rank int, e *telemetry.Event) {
	if e.Kind != telemetry.WaitsKind || rank >= len(w.ranks) || w.ending.Load() {
		return
	}
	for _, wait := range e.Waits {
		if slices.ContainsFunc(wait.On, func(on int) bool { return on < 0 || on >= len(w.ranks) }) {
			return // not of this runtime
		}
	}
	s := &w.ranks[rank]
	same := s.ended == e.Ended && slices.EqualFunc(s.waits, e.Waits, func(a, b telemetry.Wait) bool {
		return a.Op == b.Op && slices.Equal(a.On, b.On)
	})
	if s.same++; !same {
		s.same = 1
	}
	s.waits, s.ended, s.idle = e.Waits, e.Ended, e.Idle
	if !w.stalls(s) {
		if w.open && !slices.ContainsFunc(w.ranks, func(s standing) bool { return w.stalls(&s) }) {
			w.open, w.deadlock = false, ""
			w.say("stall: over, the job goes on")
		}
		return
	}
	if w.spared++; w.spared <= len(w.ranks)/looksARound { // all ranks of a large job report at about the same time
		return
	}
	w.spared = 0
	cycle, behind := deadlock(w.hosts, w.ranks)
	switch {
	case cycle != "" && cycle != w.deadlock:
		w.deadlock, w.open = cycle, true
		w.say(cycle + behind)
	case cycle == "" && s.waits[0].Seconds >= w.limit:
		for _, line := range stalls(w.hosts, w.ranks, w.limit/2) { // others came to it a little later
			w.say(line)
		}
		w.open = true
		w.limit *= 2 // a program whose calls take that long is told so rarely
	}
}

// looksARound is how often the ranks are looked at while each reports once.
const looksARound = 32

// stalls reports whether the rank waits for longer than it should. The oldest
// wait stands first; one that has returned does not need to go on.
func (w *stallWatch) stalls(s *standing) bool {
	return len(s.waits) > 0 && !s.left() && s.waits[0].Seconds >= w.limit/2 && s.idle >= w.limit/2
}

// shownStalls is how many calls that do not end are told at a time.
const shownStalls = 4

// stalls says, for each call that has lasted for limit seconds, who is in it,
// who is missing, and what those do instead.
func stalls(hosts []string, ranks []standing, limit float64) []string {
	type call struct {
		op      string
		in      []int // ranks that wait in it
		on      map[int]bool
		any     bool
		longest float64
	}
	var calls []*call
	for r := range ranks {
		for _, w := range ranks[r].waits {
			if w.Seconds < limit || ranks[r].idle < limit/2 || w.Op == telemetry.Leaving {
				continue // short, or its rank does something else all the time
			}
			i := slices.IndexFunc(calls, func(c *call) bool { return c.op == w.Op })
			if i < 0 {
				i = len(calls)
				calls = append(calls, &call{op: w.Op, on: map[int]bool{}})
			}
			c := calls[i]
			if len(c.in) == 0 || c.in[len(c.in)-1] != r { // not with another goroutine
				c.in = append(c.in, r)
			}
			c.longest, c.any = max(c.longest, w.Seconds), c.any || w.Any
			for _, on := range targets(&w, len(ranks)) {
				c.on[on] = true
			}
		}
	}
	slices.SortStableFunc(calls, func(a, b *call) int { return len(b.in) - len(a.in) })
	var lines []string
	for i, c := range calls {
		if i == shownStalls {
			lines = append(lines, fmt.Sprintf("  and in %d more", len(calls)-i))
			break
		}
		var missing []string // by what they do, ranks of one kind together
		by := map[string][]int{}
		for r := range ranks {
			if !c.on[r] || slices.Contains(c.in, r) {
				continue
			}
			does := does(&ranks[r])
			if by[does] == nil {
				missing = append(missing, does)
			}
			by[does] = append(by[does], r)
		}
		for j, does := range missing {
			missing[j] = who(hosts, by[does]) + ", " + does
		}
		verb := "waits"
		if len(c.in) > 1 {
			verb = "wait"
		}
		line := fmt.Sprintf("stall: for %s %s %s in %s", roughly(time.Duration(c.longest*1e9)), who(hosts, c.in), verb, c.op)
		switch {
		case len(missing) == 0:
			line += "; all that are waited for are in it"
		case c.any:
			line += "; it could come from " + strings.Join(missing, "; ")
		default:
			line += "; missing: " + strings.Join(missing, "; ")
		}
		lines = append(lines, line)
	}
	return lines
}

// does says what a rank does that others wait for.
func does(s *standing) string {
	switch {
	case len(s.waits) == 0:
		return "computing, or in calls that end soon"
	case s.left():
		return "whose body has returned"
	}
	return "waiting in " + s.waits[0].Op
}

// who names ranks, with their hosts when they are few.
func who(hosts []string, ranks []int) string {
	const shown = 3
	if len(ranks) <= shown {
		var names []string
		for _, r := range ranks {
			names = append(names, fmt.Sprintf("rank %d on %s", r, hosts[r]))
		}
		return strings.Join(names, ", ")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d ranks (", len(ranks))
	for i := 0; i < len(ranks); {
		j := i // ranks[i] to ranks[j] follow one another
		for j+1 < len(ranks) && ranks[j+1] == ranks[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(ranks[i]))
		if j > i {
			b.WriteString("–" + strconv.Itoa(ranks[j]))
		}
		i = j + 1
	}
	b.WriteByte(')')
	return b.String()
}

// targets is the ranks that a wait is for.
func targets(w *telemetry.Wait, ranks int) []int {
	if !w.Everyone {
		return w.On
	}
	all := make([]int, ranks)
	for i := range all {
		all[i] = i
	}
	return all
}

// rounds is how many reports in a row must say the same before they prove
// anything: what is under way has arrived by then.
const rounds = 2

// deadlock returns a cycle of ranks that wait for one another, in words, and how
// many others wait for those; "" when there is none.
//
// It finds the largest set of ranks of which each waits, in everything that it
// waits in, for ranks of the set or such that have left: a wait for all of
// several ranks as soon as one is, a wait for any only when all are. A goroutine
// that computes could still end it, which nobody can know; so it is told, and
// the job not ended.
func deadlock(hosts []string, ranks []standing) (cycle, behind string) {
	stuck := make([]bool, len(ranks)) // in the set, or left
	free := 0                         // that are not
	for r := range ranks {
		stuck[r] = ranks[r].left() || len(ranks[r].waits) > 0 && ranks[r].same >= rounds
		if !stuck[r] {
			free++
		}
	}
	never := func(w *telemetry.Wait) bool {
		switch {
		case !w.Sure:
			return false
		case w.Any && w.Everyone:
			return free == 0
		case w.Any:
			return !slices.ContainsFunc(w.On, func(on int) bool { return !stuck[on] })
		}
		return slices.ContainsFunc(targets(w, len(ranks)), func(on int) bool { return stuck[on] })
	}
	for changed := true; changed; {
		changed = false
		for r := range ranks {
			s := &ranks[r]
			if stuck[r] && !s.left() && slices.ContainsFunc(s.waits, func(w telemetry.Wait) bool { return !never(&w) }) {
				stuck[r], changed = false, true
				free++
			}
		}
	}
	first := -1
	for r := range ranks {
		if stuck[r] && !ranks[r].left() {
			first = r
			break
		}
	}
	if first < 0 {
		return "", ""
	}
	// From any of them the way along what they wait for ends in a cycle, or at a
	// rank that has left.
	var path []int
	at := first
	for !slices.Contains(path, at) && !ranks[at].left() {
		path = append(path, at)
		w := &ranks[at].waits[0]
		on := targets(w, len(ranks))
		next := slices.IndexFunc(on, func(r int) bool { return stuck[r] && (r != at || len(on) == 1) })
		if next < 0 {
			break // nobody but itself
		}
		at = on[next]
	}
	if i := slices.Index(path, at); i > 0 {
		path = path[i:]
	}
	if i := slices.Index(path, slices.Min(path)); i > 0 && !ranks[at].left() { // a cycle begins anywhere
		path = append(path[i:], path[:i]...)
	}
	var parts []string
	for _, r := range path {
		parts = append(parts, fmt.Sprintf("rank %d on %s waits in %s", r, hosts[r], ranks[r].waits[0].Op))
	}
	if ranks[at].left() {
		parts = append(parts, fmt.Sprintf("rank %d on %s has returned from its body", at, hosts[at]))
	}
	const shown = 8
	if more := len(parts) - shown; more > 0 {
		parts = append(parts[:shown-1], fmt.Sprintf("%d more", more+1), parts[len(parts)-1])
	}
	others := 0
	for r := range ranks {
		if stuck[r] && !ranks[r].left() && !slices.Contains(path, r) {
			others++
		}
	}
	switch {
	case others == 1:
		behind = "; another rank waits for them"
	case others > 1:
		behind = fmt.Sprintf("; %d other ranks wait for them", others)
	}
	return "deadlock: " + strings.Join(parts, ", "), behind
}
