package report

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// made describes a run whose numbers follow simple rules.
type made struct {
	sync    string
	repeat  int
	ranks   int
	limit   float64 // towards which the loss goes
	speed   float64 // at which it does
	slow    float64 // how many times longer everything takes
	exit    int
	emulate string
	args    []string
	start   time.Time
	skew    []float64 // by which the clock of each rank's host is ahead, in seconds
	lower   bool      // the loss falls instead
}

// start is when the jobs of tests began.
func start() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// synthetic writes the record of a run and returns its directory. Two workers a
// rank end 40 clocks of 0.1 s each; worker w of rank r spends 1+r+2w parts of
// its time computing for each of the others, and waits at the gate for rank 0
// (rank 0 for rank 1).
func synthetic(t testing.TB, m made) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if m.ranks == 0 {
		m.ranks = 2
	}
	if m.slow == 0 {
		m.slow = 1
	}
	if m.start.IsZero() {
		m.start = start().Add(time.Duration(m.repeat) * time.Minute)
	}
	info := telemetry.JobInfo{
		Program: "bin/app", Args: append([]string{"-sync=" + m.sync}, m.args...), Ranks: m.ranks, Ended: true, Exit: m.exit, Setting: m.sync, Repeat: m.repeat,
		Settings: map[string]string{"straggle": "random,p=0.1,delay=80ms"}, Start: m.start,
		Versions: map[string]string{"sspurn": "devel", "go": "go1.26", "platform": "linux/amd64"},
	}
	if m.exit != 0 {
		info.Cause = "rank 1 on b: exit status 3"
	}
	if m.emulate != "" {
		info.Settings["emulate"] = m.emulate
	}
	for r := range m.ranks {
		h := telemetry.HostInfo{Name: "host" + string(rune('a'+r)), Ranks: []int{r}}
		if m.skew != nil {
			h.Clock = []telemetry.ClockOffset{{Offset: m.skew[r]}}
		}
		info.Hosts = append(info.Hosts, h)
	}
	if err := telemetry.WriteJob(dir, info); err != nil {
		t.Fatal(err)
	}
	for rank := range m.ranks {
		var text []byte
		r := telemetry.NewRecorder(rank, time.Now(), func(line []byte) { text = append(append(text, line...), '\n') })
		skew := 0.0
		if m.skew != nil {
			skew = m.skew[rank]
		}
		r.Record(telemetry.Event{Kind: "start", Time: 1e-9, Wall: m.start.UnixNano() + int64(skew*1e9)})
		late := time.Duration(0) // of worker 0 of rank 0, after its long clock
		for clock := int64(1); clock <= 40; clock++ {
			at := float64(clock) * 0.1 * m.slow
			for w := range 2 {
				x := float64(clock) * m.slow * float64(1+rank+2*w)
				on := min(1, m.ranks-1)
				if rank > 0 {
					on = 0
				}
				r.Record(telemetry.Event{
					Kind: "clock", Time: at, Worker: w, Clock: clock, Compute: 3 * x, Straggle: x, Gate: x / 2, Miss: x / 4, Flush: x / 4,
					Reads: clock * 10, Fetches: clock * 2, Held: clock * 3, Saved: clock * int64(w*50-20), Stale: [][2]int64{{-3, clock}, {-1, 2 * clock}, {0, 7 * clock}}, On: [][2]float64{{float64(on), x / 2}},
				})
				from := time.Duration((at - 0.1*m.slow) * 1e9)
				part := time.Duration(0.1 * m.slow * 1e9 / 4)
				long := time.Duration(0)
				if w == 0 && rank == 0 {
					from += late
					if clock == 20 {
						long = 10 * part
						late += long
					}
				}
				r.Spans([]telemetry.Span{
					{Kind: telemetry.Gate, Lane: w, On: on, Start: from, End: from + part + long, Clock: clock - 1},
					{Kind: telemetry.Compute, Lane: w, On: telemetry.NoRank, Start: from + part + long, End: from + 3*part + long, Clock: clock - 1},
					{Kind: telemetry.Flush, Lane: w, On: telemetry.NoRank, Start: from + 3*part + long, End: from + 4*part + long, Clock: clock - 1},
				})
			}
			n := clock * 100 * int64(rank+1)
			r.Record(telemetry.Event{
				Kind: "bytes", Time: at, Bytes: map[string]int64{"update": n, "fetch": n, "push": 0, "control": 5, "raw": 3 * n, "wire": 10 * n},
				To: []int64{4 * n, 6 * n},
			})
			if rank == 0 && clock%2 == 0 {
				pass := float64(clock / 2)
				better, sign := "higher", 1.0
				if m.lower {
					better, sign = "lower", -1
				}
				for _, metric := range []string{"other", "loglik"} {
					r.Record(telemetry.Event{
						Kind: "loss", Time: at, Metric: metric, Better: better, Value: m.limit - sign*math.Exp(-pass*m.speed),
						Pass: pass, Seconds: pass / 2 * m.slow, Clocks: clock, Rate: 1e6, Goal: 20,
					})
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, telemetry.RankFile(rank)), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// several writes the records of two repeats under three settings.
func several(t testing.TB) []string {
	var dirs []string
	for repeat := 1; repeat <= 2; repeat++ {
		for i, sync := range []string{"ssp:3", "async", "bsp"} {
			dirs = append(dirs, synthetic(t, made{
				sync: sync, repeat: repeat, limit: -7 - 0.01*float64(i), speed: 0.3 + 0.1*float64(i), slow: 1 + 0.3*float64(i) + 0.1*float64(repeat), emulate: "rate=1mbit,delay=2ms",
			}))
		}
	}
	return dirs
}

// read makes the report of directories.
func read(t testing.TB, o Options, dirs ...string) *Report {
	t.Helper()
	runs, err := Read(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return New(runs, o)
}
