package launcher

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/pkg/errors"
)

// compareView shows how far a comparison is: on a terminal a bar with the time
// that is left, below it the running job's line, and a line for every run that has
// ended; elsewhere plain lines.
type compareView struct {
	c     *Comparison
	total int
	term  *os.File
	plain bool
	quiet bool
	out   *os.File // what runs say goes here, and from there between the lines
	read  *os.File
	wg    sync.WaitGroup

	bars    progress.Writer // nil without a terminal
	bar     *progress.Tracker
	width   int // of the bar, in columns
	stopped chan struct{}

	mu      sync.Mutex // guards what follows
	made    int        // runs that have ended, as they did
	failed  int        // of these: not well
	cut     int        // of these: by the interrupt that ends the comparison
	took    map[string][]float64
	running *Trial
	share   float64 // of the running one
	line    string
}

// barSteps is how finely the bar shows a run.
const barSteps = 1000

// The line of the bar: its share of 5 columns, a blank, the bar, two blanks, text.
const (
	barAround = 8
	barWidest = 24
	barLeast  = 4
	barText   = 28 // columns of the text before the bar gets any
)

// barWidth is the width of the bar on a terminal of so many columns.
func barWidth(columns int) int {
	return min(barWidest, max(barLeast, columns-1-barAround-barText))
}

func newCompareView(c *Comparison, term *os.File) (*compareView, error) {
	v := &compareView{c: c, total: len(c.Settings) * c.Repeats, term: term, took: map[string][]float64{}}
	v.quiet = c.Job.Progress == Off
	v.plain = !isTerminal(term) || os.Getenv("TERM") == "dumb"
	var err error
	if v.read, v.out, err = os.Pipe(); err != nil {
		return nil, errors.Wrap(err, "pipe")
	}
	if !v.plain && !v.quiet {
		v.bars = progress.NewWriter()
		v.bars.SetOutputWriter(fromLeft{term})
		v.bars.SetUpdateFrequency(progressEvery)
		style := progress.StyleDefault
		style.Chars = progress.StyleCharsBlocks
		style.Options.Separator = "  "
		style.Options.PercentFormat = "%3.0f %%"
		style.Visibility = progress.StyleVisibility{Percentage: true, Tracker: true, Pinned: true}
		v.bars.SetStyle(style)
		v.width = barWidth(Columns(term))
		v.bars.SetTrackerLength(v.width)
		v.bar = &progress.Tracker{Total: int64(v.total * barSteps), Message: v.headline()}
		v.bars.AppendTracker(v.bar)
		v.stopped = make(chan struct{})
		go func() {
			v.bars.Render()
			close(v.stopped)
		}()
	}
	v.wg.Go(func() {
		lines := bufio.NewScanner(v.read)
		for lines.Scan() {
			v.say(lines.Text())
		}
	})
	return v, nil
}

// fromLeft writes frames from the first column on, whatever an echoed ^C has left
// there.
type fromLeft struct{ term *os.File }

func (f fromLeft) Write(p []byte) (int, error) {
	if _, err := f.term.WriteString("\r\x1b[K"); err != nil {
		return 0, err
	}
	return f.term.Write(p)
}

// say shows a line for good.
func (v *compareView) say(line string) {
	if v.bars != nil {
		v.bars.Log("%s", line)
		return
	}
	fmt.Fprintln(v.term, line)
}

// close ends the display and leaves the terminal as it was.
func (v *compareView) close() {
	_ = v.out.Close()
	v.wg.Wait()
	_ = v.read.Close()
	if v.bars == nil {
		return
	}
	v.mu.Lock()
	v.bars.SetPinnedMessages()
	v.bar.UpdateMessage(v.headline())
	v.mu.Unlock()
	if v.made == v.total && v.failed == 0 && v.cut == 0 {
		v.bar.MarkAsDone()
	}
	for again := time.NewTicker(10 * time.Millisecond); ; { // a stop before it has started to draw is lost
		v.bars.Stop()
		select {
		case <-v.stopped:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// headline is the text of the bar's line, as much of it as there is room for, with
// mu.
func (v *compareView) headline() string {
	head := fmt.Sprintf("%d of %d runs", v.made-v.failed-v.cut, v.total)
	line := head
	if v.failed > 0 {
		line += fmt.Sprintf(", %d failed", v.failed)
	}
	if left, ok := v.left(); ok && v.made < v.total {
		line += ", " + roughly(left) + " left"
	}
	room := max(1, Columns(v.term)-1-barAround-v.width)
	if text.StringWidth(line) > room {
		line = head
	}
	return text.Snip(line, room, "…")
}

// left estimates the time that all runs which are not over take, with mu.
func (v *compareView) left() (time.Duration, bool) {
	sum, n := 0.0, 0
	for _, all := range v.took {
		for _, s := range all {
			sum, n = sum+s, n+1
		}
	}
	if n == 0 { // nothing to go by, also when all have failed
		return 0, false
	}
	mean := sum / float64(n)
	of := func(setting string) float64 { // as it was, else as the others were
		if all := v.took[setting]; len(all) > 0 {
			return all[len(all)-1]
		}
		return mean
	}
	left := 0.0
	for i, t := range v.c.Plan() {
		switch {
		case i < v.made:
		case i == v.made && v.running != nil:
			left += max(0, of(t.Setting)*(1-max(0, v.share)))
		default:
			left += of(t.Setting)
		}
	}
	return time.Duration(left * float64(time.Second)), true
}

// start says that a run begins.
func (v *compareView) start(t *Trial) {
	v.mu.Lock()
	v.running, v.share, v.line = t, 0, ""
	n := v.made + 1
	left, known := v.left()
	v.mu.Unlock()
	if b := v.c.Job.Board; b != nil { // which adds how far the job is
		b.Status(fmt.Sprintf("Run %d of %d: %s, repeat %d.", n, v.total, t.Setting, t.Repeat))
	}
	if v.bars != nil {
		v.update()
		return
	}
	if v.quiet {
		return
	}
	line := fmt.Sprintf("sspurn: run %d of %d: -sync %s, repeat %d", n, v.total, t.Setting, t.Repeat)
	if known {
		line += fmt.Sprintf(" (%s left)", roughly(left))
	}
	v.say(line)
}

// status takes how far the running job is.
func (v *compareView) status(s Status) {
	v.mu.Lock()
	v.share, v.line = s.Done, s.Text
	v.mu.Unlock()
	v.update()
}

// update brings the bar up to date.
func (v *compareView) update() {
	if v.bars == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// A full bar is taken for a good end, which close decides.
	v.bar.SetValue(min(v.bar.Total-1, int64(float64(barSteps)*(float64(v.made)+max(0, v.share)))))
	v.bar.UpdateMessage(v.headline())
	if t := v.running; t != nil {
		line := fmt.Sprintf("%s, repeat %d", t.Setting, t.Repeat)
		if v.line != "" {
			line += ": " + v.line
		}
		v.bars.SetPinnedMessages(fitted(v.term, line))
	}
}

// end says how a run has ended; interrupted says that it was ended, as all of the
// comparison is.
func (v *compareView) end(t *Trial, interrupted bool) {
	v.mu.Lock()
	v.made++
	v.running, v.share = nil, 0
	switch {
	case t.Failure == nil:
		v.took[t.Setting] = append(v.took[t.Setting], t.Seconds)
	case interrupted:
		v.cut++
	default:
		v.failed++
	}
	v.mu.Unlock()
	v.update()
	line := fmt.Sprintf("%-8s repeat %d  %7.2f s", t.Setting, t.Repeat, t.Seconds)
	if t.Failure != nil {
		v.say(line + "  failed: " + t.Failure.Cause)
		for _, said := range t.Failure.Tail {
			v.say("  | " + said)
		}
		return
	}
	if v.quiet {
		return
	}
	if r := t.seen; r != nil {
		line = fmt.Sprintf("%-8s repeat %d  %7.2f s", t.Setting, t.Repeat, r.Seconds())
		if name, _ := r.Metric(); name != "" {
			final, _ := r.Final()
			line += fmt.Sprintf("  %s %.5g", strings.ReplaceAll(name, "_", " "), final)
		}
		line += fmt.Sprintf("  waited %.0f %%", 100*r.Whole().Waited())
	}
	v.say(line)
}
