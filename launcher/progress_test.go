package launcher

import (
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

func TestProgressLine(t *testing.T) {
	at := time.Unix(1000, 0)
	p := newProgressLine(3, false)
	p.now = func() time.Time { return at }
	if text, ok := p.line(); ok {
		t.Errorf("a line of nothing: %q", text)
	}
	clock := func(rank int, c int64, compute, gate float64, on ...[2]float64) {
		p.event(rank, &telemetry.Event{Kind: "clock", Clock: c, Compute: compute, Gate: gate, On: on})
	}
	for _, step := range []struct {
		do   func()
		want string
		done float64
	}{
		{func() { clock(0, 4, 3, 1) }, "clock 4 · waited 25 % · slowest rank 0", -1},
		{func() { clock(1, 2, 3, 1) }, "clock 2–4 · waited 25 % · slowest rank 1", -1},
		{func() { p.event(0, &telemetry.Event{Kind: "plan", Clocks: 40}); clock(1, 4, 3, 1) }, "clock 4 of 40 · waited 25 % · slowest rank 0", 0.1},
		{func() { at = at.Add(20 * time.Second); clock(0, 4, 3, 1, [2]float64{2, 0.9}, [2]float64{0, 5}) }, "clock 4 of 40 · waited 25 % · slowest rank 2 · 3 min left", 0.1},
		{
			func() {
				p.event(0, &telemetry.Event{Kind: "loss", Metric: "rmse", Value: 1.25, Pass: 2, Goal: 10, Rate: 2.5e6})
			},
			"pass 2 of 10 · clock 4 of 40 · rmse 1.25 · 2.5 M/s · waited 25 % · slowest rank 2 · 3 min left", 0.1,
		},
		{func() { clock(0, 41, 3, 1); clock(1, 41, 3, 1) }, "pass 2 of 10 · clock 41 of 40 · rmse 1.25 · 2.5 M/s · waited 25 % · slowest rank 0", 1},
		{func() { p.plan = 0; clock(0, 41, 3, 1) }, "pass 2 of 10 · clock 41 · rmse 1.25 · 2.5 M/s · waited 25 % · slowest rank 0 · 80 s left", 0.2},
	} {
		step.do()
		if done := p.status().Done; done != step.done {
			t.Errorf("%q: done %g, want %g", step.want, done, step.done)
		}
		if got, ok := p.line(); got != step.want || !ok {
			t.Errorf("got %q, %v, want %q", got, ok, step.want)
		}
		if got, ok := p.line(); ok {
			t.Errorf("again %q", got)
		}
	}
}

// Where nobody watches a terminal a loss makes a line; without losses one comes
// now and then, and at the end.
func TestPlainProgress(t *testing.T) {
	at := time.Unix(1000, 0)
	p := newProgressLine(1, true)
	p.now = func() time.Time { return at }
	if text, ok := p.last(); ok {
		t.Errorf("a line of nothing: %q", text)
	}
	var lines []string
	for i := range 1000 {
		p.event(0, &telemetry.Event{Kind: "clock", Clock: int64(2 * (i + 1))})
		if text, ok := p.line(); ok {
			lines = append(lines, text)
		}
		at = at.Add(100 * time.Millisecond)
	}
	want := "clock 2|clock 22 · 20 clocks/s|clock 62 · 20 clocks/s|clock 142 · 20 clocks/s|clock 302 · 20 clocks/s|clock 622 · 20 clocks/s|clock 1262 · 20 clocks/s"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if text, ok := p.last(); !ok || text != "clock 2000 · 19.9 clocks/s" {
		t.Errorf("at the end %q, %v", text, ok)
	}
	if text, ok := p.last(); ok {
		t.Errorf("again %q", text)
	}
	p.event(0, &telemetry.Event{Kind: "loss", Metric: "m", Value: 2})
	if text, ok := p.line(); !ok || text != "clock 2000 · m 2" {
		t.Errorf("got %q, %v", text, ok)
	}
	p.event(0, &telemetry.Event{Kind: "clock", Clock: 3000})
	if text, ok := p.line(); ok {
		t.Errorf("a line without a loss: %q", text)
	}
}

// The pace is that of the last while, and of a longer one where clocks are long.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration // for a clock, the first 50
		then  time.Duration // the others
		want  string
	}{
		{10 * time.Millisecond, 10 * time.Millisecond, "100 clocks/s"},
		{100 * time.Millisecond, 2 * time.Second, "0.5 clocks/s"},
		{time.Minute, time.Minute, "0.0167 clocks/s"},
		{time.Millisecond / 10, time.Millisecond / 10, ""},
	} {
		at := time.Unix(1000, 0)
		p := newProgressLine(1, false)
		p.now = func() time.Time { return at }
		for i := range 200 {
			every := tt.every
			if i >= 50 {
				every = tt.then
			}
			at = at.Add(every)
			p.event(0, &telemetry.Event{Kind: "clock", Clock: int64(i + 1)})
			p.line()
		}
		if got := p.pace(); got != tt.want {
			t.Errorf("%v, then %v: got %q, want %q", tt.every, tt.then, got, tt.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 s", 4400 * time.Millisecond: "4 s", 12 * time.Second: "10 s", 88 * time.Second: "90 s", 100 * time.Second: "2 min",
		50 * time.Minute: "50 min", 100 * time.Minute: "1.7 h",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
