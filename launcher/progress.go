package launcher

import (
	"fmt"
	"strings"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Status is how far a job is.
type Status struct {
	Text string  // a line: clock, loss, rate, share of time waited, slowest rank, time left
	Done float64 // the part that is done, 0 to 1; negative when nobody knows
}

// progressLine turns record events into one line of text. It is owned by one
// goroutine.
type progressLine struct {
	plain   bool // not a terminal: a line for each loss, without losses now and then
	workers map[[2]int]telemetry.Event
	loss    telemetry.Event // the newest
	lost    bool            // there is a loss
	dirty   bool
	fresh   bool // there are clocks that no line has shown
	ranks   int
	plan    int64            // clocks of every worker in the whole job; 0 unknown
	now     func() time.Time // the clock of the wall
	began   time.Time        // when the first clock came
	next    time.Time        // when a plain line without a loss is due
	wait    time.Duration    // to the one after it
	marks   [2]mark          // the pace is measured from the first
}

// mark is how far the slowest worker was at a moment.
type mark struct {
	at    time.Time
	clock int64
}

// Plain lines without a loss: at first soon, then ever more seldom.
const (
	plainFirst = time.Second
	plainLast  = time.Minute
)

// Clocks a second are measured over at least so much, once the job is as old.
const (
	paceOver   = 5 * time.Second
	paceClocks = 3
)

func newProgressLine(ranks int, plain bool) *progressLine {
	return &progressLine{plain: plain, ranks: ranks, workers: make(map[[2]int]telemetry.Event), now: time.Now}
}

// event takes an event of a rank.
func (p *progressLine) event(rank int, e *telemetry.Event) {
	switch e.Kind {
	case "plan":
		p.plan = e.Clocks
	case "clock":
		if p.began.IsZero() {
			p.began = p.now()
		}
		p.workers[[2]int{rank, e.Worker}] = *e
		p.fresh = true
		p.dirty = p.dirty || !p.plain
	case "loss":
		p.loss, p.lost, p.dirty = *e, true, true
	}
}

// line returns the line to show, and whether it has changed.
func (p *progressLine) line() (string, bool) {
	if p.plain && !p.lost && p.fresh && !p.now().Before(p.next) {
		p.dirty = true
		p.wait = min(plainLast, max(plainFirst, 2*p.wait))
		p.next = p.now().Add(p.wait)
	}
	if !p.dirty {
		return "", false
	}
	p.dirty, p.fresh = false, false
	text := p.status().Text
	return text, text != ""
}

// last is line at the end of the job.
func (p *progressLine) last() (string, bool) {
	p.dirty = p.dirty || p.fresh && !p.lost
	return p.line()
}

// pace words how many clocks the slowest worker ends in a second, over the last
// while, "" when that is a guess.
func (p *progressLine) pace() string {
	least, _, ok := p.clocks()
	if !ok {
		return ""
	}
	now := p.now()
	switch last := p.marks[1]; {
	case last.at.IsZero():
		p.marks = [2]mark{{now, least}, {now, least}}
	case now.Sub(last.at) >= paceOver && least-last.clock >= paceClocks:
		p.marks = [2]mark{last, {now, least}}
	}
	from := p.marks[0]
	if now.Sub(from.at) < plainFirst || least <= from.clock {
		return ""
	}
	return thousands(float64(least-from.clock)/now.Sub(from.at).Seconds()) + "clocks/s"
}

// clocks returns the clocks of the slowest and of the fastest worker; ok is false
// before the first.
func (p *progressLine) clocks() (least, most int64, ok bool) {
	for _, e := range p.workers {
		if !ok || e.Clock < least {
			least = e.Clock
		}
		most, ok = max(most, e.Clock), true
	}
	return least, most, ok
}

// done returns the part of the job that is done, negative when nobody knows.
func (p *progressLine) done() float64 {
	least, _, ok := p.clocks()
	switch {
	case p.plan > 0 && ok:
		return min(1, float64(least)/float64(p.plan))
	case p.lost && p.loss.Goal > 0:
		return min(1, p.loss.Pass/p.loss.Goal)
	}
	return -1
}

// An estimate of the time left means something after a part of the job and a
// while.
const (
	meaningfulPart = 0.02
	meaningfulTime = 2 * time.Second
)

// left words the time that the job is going to take, "" when that is a guess.
func (p *progressLine) left() string {
	done, since := p.done(), time.Duration(0)
	if !p.began.IsZero() {
		since = p.now().Sub(p.began)
	}
	if done < meaningfulPart || done >= 1 || since < meaningfulTime {
		return ""
	}
	return roughly(time.Duration(float64(since)*(1-done)/done)) + " left"
}

// roughly words a time with the precision of a guess.
func roughly(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.0f s", max(1, d.Seconds()))
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()+2.5)/5*5)
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// slowest returns the rank for which others have waited longest, else the one
// that computes longest for a clock; negative when there is none.
func (p *progressLine) slowest() int {
	waited := map[int]float64{}
	slowest, longest := -1, 0.0
	for w, e := range p.workers {
		for _, on := range e.On {
			if int(on[0]) != w[0] {
				waited[int(on[0])] += on[1]
			}
		}
		// Compute holds the seconds of straggling: the rank on which others wait.
		if e.Clock == 0 {
			continue
		}
		each := e.Compute / float64(e.Clock)
		if slowest < 0 || each > longest || each == longest && w[0] < slowest {
			slowest, longest = w[0], each
		}
	}
	longest = 0
	for rank, seconds := range waited {
		if seconds > longest || seconds == longest && rank < slowest {
			slowest, longest = rank, seconds
		}
	}
	return slowest
}

// status returns how far the job is.
func (p *progressLine) status() Status {
	var parts []string
	if p.lost && p.loss.Pass > 0 {
		if p.loss.Goal > 0 {
			parts = append(parts, fmt.Sprintf("pass %.4g of %.4g", p.loss.Pass, p.loss.Goal))
		} else {
			parts = append(parts, fmt.Sprintf("pass %.4g", p.loss.Pass))
		}
	}
	if least, most, ok := p.clocks(); ok {
		text := fmt.Sprintf("clock %d", least)
		if most > least {
			text += fmt.Sprintf("–%d", most)
		}
		if p.plan > 0 {
			text += fmt.Sprintf(" of %d", p.plan)
		}
		parts = append(parts, text)
	}
	if p.lost {
		parts = append(parts, fmt.Sprintf("%s %.5g", p.loss.Metric, p.loss.Value))
		if p.loss.Rate > 0 {
			parts = append(parts, rateText(p.loss.Rate))
		}
	} else if text := p.pace(); text != "" {
		parts = append(parts, text)
	}
	var busy, waited float64
	for _, e := range p.workers {
		busy += e.Compute
		waited += e.Gate + e.Miss + e.Flush
	}
	if busy+waited > 0 {
		parts = append(parts, fmt.Sprintf("waited %.0f %%", 100*waited/(busy+waited)))
	}
	if rank := p.slowest(); rank >= 0 && p.ranks > 1 {
		parts = append(parts, fmt.Sprintf("slowest rank %d", rank))
	}
	if text := p.left(); text != "" {
		parts = append(parts, text)
	}
	return Status{Text: strings.Join(parts, " · "), Done: p.done()}
}

// rateText words items a second.
func rateText(r float64) string { return thousands(r) + "/s" }

// thousands words a number up to its unit.
func thousands(r float64) string {
	switch {
	case r >= 1e9:
		return fmt.Sprintf("%.3g G", r/1e9)
	case r >= 1e6:
		return fmt.Sprintf("%.3g M", r/1e6)
	case r >= 1e3:
		return fmt.Sprintf("%.3g k", r/1e3)
	}
	return fmt.Sprintf("%.3g ", r)
}
