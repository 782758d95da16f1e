package launcher

import (
	"fmt"
	"strings"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// progress turns record events into one line of text. It is owned by one
// goroutine.
type progress struct {
	plain   bool // not a terminal: a line for each loss
	workers map[[2]int]telemetry.Event
	loss    telemetry.Event // the newest
	lost    bool            // there is a loss
	dirty   bool
	ranks   int
}

func newProgress(ranks int, plain bool) *progress {
	return &progress{plain: plain, ranks: ranks, workers: make(map[[2]int]telemetry.Event)}
}

// event takes an event of a rank.
func (p *progress) event(rank int, e telemetry.Event) {
	switch e.Kind {
	case "clock":
		p.workers[[2]int{rank, e.Worker}] = e
		p.dirty = p.dirty || !p.plain
	case "loss":
		p.loss, p.lost, p.dirty = e, true, true
	}
}

// line returns the line to show, and whether it has changed.
func (p *progress) line() (string, bool) {
	if !p.dirty {
		return "", false
	}
	p.dirty = false
	var parts []string
	if p.lost && p.loss.Pass > 0 {
		if p.loss.Goal > 0 {
			parts = append(parts, fmt.Sprintf("pass %.4g of %.4g", p.loss.Pass, p.loss.Goal))
		} else {
			parts = append(parts, fmt.Sprintf("pass %.4g", p.loss.Pass))
		}
	}
	var least, most int64
	var busy, waited, longest float64
	slowest, first := -1, true
	for w, e := range p.workers {
		if first || e.Clock < least {
			least = e.Clock
		}
		most, first = max(most, e.Clock), false
		busy += e.Compute
		waited += e.Gate + e.Miss + e.Flush
		// Compute holds the seconds of straggling: the rank on which others wait.
		if e.Clock > 0 && (slowest < 0 || e.Compute/float64(e.Clock) > longest) {
			slowest, longest = w[0], e.Compute/float64(e.Clock)
		}
	}
	if !first {
		if least == most {
			parts = append(parts, fmt.Sprintf("clock %d", least))
		} else {
			parts = append(parts, fmt.Sprintf("clock %d–%d", least, most))
		}
	}
	if p.lost {
		parts = append(parts, fmt.Sprintf("%s %.5g", p.loss.Metric, p.loss.Value))
		if p.loss.Rate > 0 {
			parts = append(parts, rateText(p.loss.Rate))
		}
	}
	if busy+waited > 0 {
		parts = append(parts, fmt.Sprintf("waited %.0f %%", 100*waited/(busy+waited)))
	}
	if slowest >= 0 && p.ranks > 1 {
		parts = append(parts, fmt.Sprintf("slowest rank %d", slowest))
	}
	return strings.Join(parts, " · "), len(parts) > 0
}

// rateText words items a second.
func rateText(r float64) string {
	switch {
	case r >= 1e9:
		return fmt.Sprintf("%.3g G/s", r/1e9)
	case r >= 1e6:
		return fmt.Sprintf("%.3g M/s", r/1e6)
	case r >= 1e3:
		return fmt.Sprintf("%.3g k/s", r/1e3)
	}
	return fmt.Sprintf("%.3g /s", r)
}
