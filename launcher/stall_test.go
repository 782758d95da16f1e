package launcher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// situation writes down what ranks do, a line for each: how the last reports were
// the same, and then the waits, as "2: recv a <- 1 | call <- 1,2 | match <- any".
// With a question mark in the place of the arrow a handler could end it, and
// "left" is a rank whose body has returned.
func situation(t *testing.T, seconds float64, lines ...string) (hosts []string, ranks []standing) {
	t.Helper()
	for r, line := range lines {
		hosts = append(hosts, fmt.Sprintf("h%d", r))
		s := standing{idle: seconds}
		if line == "" {
			ranks = append(ranks, s)
			continue
		}
		count, rest, _ := strings.Cut(line, ": ")
		if _, err := fmt.Sscan(count, &s.same); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for part := range strings.SplitSeq(rest, " | ") {
			w := telemetry.Wait{Op: part, Seconds: seconds}
			if part != "left" {
				op, on, sure := strings.Cut(part, " <- ")
				if !sure {
					op, on, _ = strings.Cut(part, " ? ")
				}
				w.Op, w.Sure = op, sure
				if after, ok := strings.CutPrefix(on, "any of "); ok {
					on, w.Any = after, true
				}
				if on == "any" {
					w.Everyone, w.Any = true, true
				} else {
					for n := range strings.SplitSeq(on, ",") {
						var rank int
						if _, err := fmt.Sscan(n, &rank); err != nil {
							t.Fatalf("%q: %v", part, err)
						}
						w.On = append(w.On, rank)
					}
				}
			} else {
				w.Op = telemetry.Leaving
			}
			s.waits = append(s.waits, w)
		}
		ranks = append(ranks, s)
	}
	return hosts, ranks
}

func TestDeadlock(t *testing.T) {
	for _, test := range []struct {
		name   string
		ranks  []string
		cycle  string // "": no deadlock
		behind string
	}{
		{"nothing", []string{"", ""}, "", ""},
		{"two receives", []string{"2: recv tag 5 <- 1", "3: recv tag 7 <- 0"},
			"rank 0 on h0 waits in recv tag 5, rank 1 on h1 waits in recv tag 7", ""},
		{"one round is no proof", []string{"2: recv <- 1", "1: recv <- 0"}, "", ""},
		{"one of them computes", []string{"2: recv <- 1", ""}, "", ""},
		{"a chain ends at one that computes", []string{"9: recv <- 1", "9: recv <- 2", ""}, "", ""},
		{"itself", []string{"2: send <- 0", ""}, "rank 0 on h0 waits in send", ""},
		{"three, told from the least", []string{"2: c <- 1", "2: a <- 2", "2: b <- 0"},
			"rank 0 on h0 waits in c, rank 1 on h1 waits in a, rank 2 on h2 waits in b", ""},
		{"a cycle and who waits for it", []string{"2: x <- 2", "2: y <- 0", "2: a <- 3", "2: b <- 2"},
			"rank 2 on h2 waits in a, rank 3 on h3 waits in b", "; 2 other ranks wait for them"},
		{"a handler can end it", []string{"2: recv <- 1", "2: call ? 0"}, "", ""},
		{"another goroutine can end it", []string{"2: recv <- 1 | recv <- 2", "2: recv <- 0", ""}, "", ""},
		{"all goroutines wait", []string{"2: recv a <- 1 | recv b <- 1", "2: recv c <- 0"},
			"rank 0 on h0 waits in recv a, rank 1 on h1 waits in recv c", ""},
		{"a call needs all", []string{"2: barrier <- 1,2", "2: recv <- 0", ""},
			"rank 0 on h0 waits in barrier, rank 1 on h1 waits in recv", ""},
		{"any is enough", []string{"2: recv <- any of 1,2", "2: recv <- 0", ""}, "", ""},
		{"any of those that wait", []string{"2: r <- any of 1,2", "2: s <- 0", "2: u <- 0"},
			"rank 0 on h0 waits in r, rank 1 on h1 waits in s", "; another rank waits for them"},
		{"everybody waits for anybody", []string{"2: r <- any", "2: s <- any"},
			"rank 0 on h0 waits in r, rank 1 on h1 waits in s", ""},
		{"all others have left", []string{"2: r <- any", "1: left", "1: left"},
			"rank 0 on h0 waits in r, rank 1 on h1 has returned from its body", ""},
		{"one has left, another computes", []string{"2: r <- any", "1: left", ""}, "", ""},
		{"alone, from anybody", []string{"2: r <- any"}, "rank 0 on h0 waits in r", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hosts, ranks := situation(t, 60, test.ranks...)
			cycle, behind := deadlock(hosts, ranks)
			want := test.cycle
			if want != "" {
				want = "deadlock: " + want
			}
			if cycle != want || behind != test.behind {
				t.Errorf("got %q, %q\nwant %q, %q", cycle, behind, want, test.behind)
			}
		})
	}
}

func TestStalls(t *testing.T) {
	const computing = "computing, or in calls that end soon"
	for _, test := range []struct {
		name  string
		ranks []string
		want  []string
	}{
		{"nothing", []string{"", ""}, nil},
		{"one computes", []string{"1: barrier <- 1,2", "1: barrier <- 2", ""},
			[]string{"stall: for 60 s rank 0 on h0, rank 1 on h1 wait in barrier; missing: rank 2 on h2, " + computing}},
		{"one is elsewhere", []string{"1: barrier <- 1", "1: recv <- 2", ""},
			[]string{
				"stall: for 60 s rank 0 on h0 waits in barrier; missing: rank 1 on h1, waiting in recv",
				"stall: for 60 s rank 1 on h1 waits in recv; missing: rank 2 on h2, " + computing,
			}},
		{"one has left", []string{"1: probe ? 1", "1: left"},
			[]string{"stall: for 60 s rank 0 on h0 waits in probe; missing: rank 1 on h1, whose body has returned"}},
		{"from anybody", []string{"1: recv <- any", "", ""},
			[]string{"stall: for 60 s rank 0 on h0 waits in recv; it could come from rank 1 on h1, rank 2 on h2, " + computing}},
		{"all are in it", []string{"1: barrier <- 1", "1: barrier <- 0"},
			[]string{"stall: for 60 s rank 0 on h0, rank 1 on h1 wait in barrier; all that are waited for are in it"}},
		{"many", []string{"1: b <- 5", "1: b <- 5 | b <- 5", "1: b <- 5", "", "1: b <- 5", "", "1: b <- 5"},
			[]string{"stall: for 60 s 5 ranks (0–2, 4, 6) wait in b; missing: rank 5 on h5, " + computing}},
		{"many calls", []string{"1: a <- 6", "1: b <- 6", "1: c <- 6", "1: d <- 6", "1: e <- 6", "1: e <- 6", ""},
			[]string{
				"stall: for 60 s rank 4 on h4, rank 5 on h5 wait in e; missing: rank 6 on h6, " + computing,
				"stall: for 60 s rank 0 on h0 waits in a; missing: rank 6 on h6, " + computing,
				"stall: for 60 s rank 1 on h1 waits in b; missing: rank 6 on h6, " + computing,
				"stall: for 60 s rank 2 on h2 waits in c; missing: rank 6 on h6, " + computing,
				"  and in 1 more",
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hosts, ranks := situation(t, 60, test.ranks...)
			if got := stalls(hosts, ranks, 60); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if got := stalls(hosts, ranks, 61); got != nil {
				t.Errorf("told too early: %q", got)
			}
		})
	}
}

// TestStallWatch follows reports of a job: what is told, and how often.
func TestStallWatch(t *testing.T) {
	var told []string
	w := newStallWatch([]string{"h0", "h1", "h2"}, time.Minute, func(s string) { told = append(told, s) })
	report := func(rank int, ended uint64, idle float64, waits ...telemetry.Wait) int {
		before := len(told)
		w.event(rank, &telemetry.Event{Kind: telemetry.WaitsKind, Waits: waits, Ended: ended, Idle: idle})
		return len(told) - before
	}
	recv := func(on int, seconds float64) telemetry.Wait {
		return telemetry.Wait{Op: fmt.Sprintf("recv from rank %d", on), On: []int{on}, Sure: true, Seconds: seconds}
	}
	for i, step := range []struct {
		rank  int
		ended uint64
		idle  float64
		waits []telemetry.Wait
		tells int
	}{
		{0, 7, 30, []telemetry.Wait{recv(1, 30)}, 0},
		{0, 7, 60, []telemetry.Wait{recv(1, 60)}, 1},   // a stall
		{0, 7, 90, []telemetry.Wait{recv(1, 90)}, 0},   // known
		{0, 7, 120, []telemetry.Wait{recv(1, 120)}, 1}, // twice as long
		{0, 9, 0, nil, 1}, // over
		{1, 3, 300, []telemetry.Wait{{Op: telemetry.Leaving, Seconds: 300}}, 0},
		{2, 4, 1, []telemetry.Wait{recv(0, 230)}, 0}, // another goroutine is busy
		{0, 9, 250, []telemetry.Wait{recv(2, 250)}, 1},
		{2, 4, 200, []telemetry.Wait{recv(0, 400)}, 0}, // one report of rank 0 is no proof
		{0, 9, 265, []telemetry.Wait{recv(2, 265)}, 1}, // a deadlock
		{2, 4, 215, []telemetry.Wait{recv(0, 415)}, 0}, // the same
	} {
		if got := report(step.rank, step.ended, step.idle, step.waits...); got != step.tells {
			t.Fatalf("step %d: told %d lines: %q", i, got, told)
		}
	}
	if last := told[len(told)-1]; !strings.HasPrefix(last, "deadlock: rank 0 on h0 waits in recv from rank 2, rank 2") {
		t.Errorf("told last: %q", last)
	}
	w.end()
	if got := report(0, 10, 0); got != 0 { // is over because the job is
		t.Errorf("told at the end: %q", told[len(told)-1])
	}
	w.event(1, &telemetry.Event{Kind: "clock"})
	w.event(99, &telemetry.Event{Kind: telemetry.WaitsKind})
	for _, on := range []int{-1, 3} {
		for range rounds {
			w.event(0, &telemetry.Event{Kind: telemetry.WaitsKind, Ended: 10, Waits: []telemetry.Wait{recv(on, 9000)}, Idle: 9000})
		}
	}
}

// TestDeadlockReference compares with all sets of ranks: some set that is not
// empty waits only within itself, or there is no deadlock.
func TestDeadlockReference(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		ranks := make([]standing, 1+rnd.IntN(5))
		hosts := make([]string, len(ranks))
		for r := range ranks {
			s := &ranks[r]
			s.same = 1 + rnd.IntN(4)
			switch rnd.IntN(8) {
			case 0: // computes
			case 1:
				s.waits = []telemetry.Wait{{Op: telemetry.Leaving}}
			default:
				for range 1 + rnd.IntN(2) {
					w := telemetry.Wait{Op: fmt.Sprint("call ", r), Sure: rnd.IntN(10) > 0, Any: rnd.IntN(3) == 0}
					if w.Everyone = w.Any && rnd.IntN(3) == 0; !w.Everyone {
						for on := range ranks {
							if rnd.IntN(len(ranks)) == 0 {
								w.On = append(w.On, on)
							}
						}
						if len(w.On) == 0 {
							w.On = []int{rnd.IntN(len(ranks))}
						}
					}
					s.waits = append(s.waits, w)
				}
			}
		}
		want := false
		for set := 1; set < 1<<len(ranks); set++ {
			want = want || closed(ranks, set)
		}
		cycle, _ := deadlock(hosts, ranks)
		if (cycle != "") != want {
			t.Fatalf("seed %d: got %q, want a deadlock: %v; %+v", seed, cycle, want, ranks)
		}
	}
}

// closed reports whether no rank outside the set, but such that have left, can end
// what those in it wait for.
func closed(ranks []standing, set int) bool {
	for r := range ranks {
		if set&(1<<r) == 0 {
			continue
		}
		s := &ranks[r]
		if len(s.waits) == 0 || s.left() || s.same < rounds {
			return false
		}
		for _, w := range s.waits {
			within, of := 0, targets(&w, len(ranks))
			for _, on := range of {
				if set&(1<<on) != 0 || ranks[on].left() {
					within++
				}
			}
			if !w.Sure || w.Any && within < len(of) || within == 0 {
				return false
			}
		}
	}
	return true
}

// BenchmarkStallWatch is a round of reports of a job in a barrier that one rank is
// missing from.
func BenchmarkStallWatch(b *testing.B) {
	const n = 1000
	hosts := make([]string, n)
	for r := range hosts {
		hosts[r] = fmt.Sprint("h", r)
	}
	w := newStallWatch(hosts, time.Minute, func(string) {})
	events := make([]telemetry.Event, n)
	for r := range events {
		wait := telemetry.Wait{Op: "call 7, barrier on world", Sure: true, Seconds: 61}
		for d := 1; d < n; d *= 2 {
			wait.On = append(wait.On, (r-d+n)%n)
		}
		events[r] = telemetry.Event{Kind: telemetry.WaitsKind, Waits: []telemetry.Wait{wait}, Ended: 9, Idle: 61}
	}
	for b.Loop() {
		for r := 1; r < n; r++ {
			w.event(r, &events[r])
		}
	}
}
