package report

import (
	"bytes"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// synthetic writes the record of a run of two ranks with two workers each whose
// numbers follow simple rules, and returns the directory. The loss goes towards
// limit with a speed of its own.
func synthetic(t *testing.T, sync string, limit, speed float64) string {
	t.Helper()
	dir := t.TempDir()
	err := telemetry.WriteJob(dir, telemetry.JobInfo{
		Program: "app", Args: []string{"-k", "3", "-sync", sync}, Ranks: 2, Ended: true,
		Settings: map[string]string{"straggle": "random,p=0.1,delay=80ms"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for rank := range 2 {
		var text []byte
		r := telemetry.NewRecorder(rank, time.Now(), func(line []byte) { text = append(append(text, line...), '\n') })
		for clock := int64(1); clock <= 40; clock++ {
			for w := range 2 {
				x := float64(clock) * float64(1+rank+2*w) // 1, 2, 3, 4 times the clock
				r.Record(telemetry.Event{Kind: "clock", Worker: w, Clock: clock, Compute: 3 * x, Straggle: x, Gate: x / 2, Miss: x / 4, Flush: x / 4})
			}
			r.Record(telemetry.Event{Kind: "bytes", Bytes: map[string]int64{"update": clock * 100, "wire": clock * int64(1000*(rank+1))}})
			if rank == 0 && clock%4 == 0 {
				pass := float64(clock / 4)
				for _, metric := range []string{"other", "loglik"} {
					r.Record(telemetry.Event{
						Kind: "loss", Metric: metric, Better: "higher", Value: limit - math.Exp(-pass*speed),
						Pass: pass, Seconds: pass / 2, Clocks: clock, Rate: 1e6, Goal: 10,
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

// The numbers of a summary are recomputed from the text of the record.
func TestSummaryNumbers(t *testing.T) {
	dir := synthetic(t, "ssp:3", -7, 0.5)
	runs, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := runs[0]
	last := map[[2]float64]map[string]any{}
	sent, curve := 0.0, 0
	for rank := range 2 {
		text, err := os.ReadFile(filepath.Join(dir, telemetry.RankFile(rank)))
		if err != nil {
			t.Fatal(err)
		}
		wire := 0.0
		for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			var e map[string]any
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			switch e["ev"] {
			case "clock":
				w, _ := e["w"].(float64)
				last[[2]float64{float64(rank), w}] = e
			case "bytes":
				wire = e["bytes"].(map[string]any)["wire"].(float64)
			case "loss":
				if e["metric"] == "loglik" {
					curve++
				}
			}
		}
		sent += wire
	}
	sum := map[string]float64{}
	for _, e := range last {
		for _, key := range []string{"compute", "gate", "miss", "flush", "straggle"} {
			sum[key] += e[key].(float64)
		}
	}
	waited := (sum["gate"] + sum["miss"] + sum["flush"]) / (sum["compute"] + sum["gate"] + sum["miss"] + sum["flush"])
	final, _ := s.Final()
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"compute", s.Split.Compute, sum["compute"]}, {"gate", s.Split.Gate, sum["gate"]},
		{"straggle", s.Split.Straggle, sum["straggle"]}, {"waited", s.Split.Waited(), waited},
		{"waited by hand", s.Split.Waited(), 0.25}, {"sent", float64(s.Sent()), sent}, {"sent by hand", float64(s.Sent()), 120000},
		{"curve", float64(len(s.Curve)), float64(curve)}, {"passes", s.Passes, 10}, {"clocks", float64(s.Clocks), 40},
		{"seconds", s.Seconds, 5}, {"rate", s.Rate, 1e6}, {"final", final, -7 - math.Exp(-5)}, {"workers", float64(s.Workers), 4},
	} {
		if math.Abs(c.got-c.want) > 1e-9*math.Abs(c.want) {
			t.Errorf("%s: got %g, want %g", c.name, c.got, c.want)
		}
	}
	if s.Name != "ssp:3" || s.Metric != "loglik" || !s.Higher || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "straggle") {
		t.Errorf("got %+v", s)
	}
}

func TestTimeTo(t *testing.T) {
	curve := []Point{{0, 0, -9}, {1, 2, -8}, {2, 4, -7}, {3, 6, -7.5}}
	for _, c := range []struct {
		higher       bool
		target, want float64
		ok           bool
	}{
		{true, -9, 0, true}, {true, -8.5, 1, true}, {true, -7, 4, true}, {true, -6, 0, false},
		{false, -7.5, 0, true}, {false, -9.5, 0, false},
	} {
		got, ok := (&Summary{Curve: curve, Higher: c.higher}).TimeTo(c.target)
		if got != c.want || ok != c.ok {
			t.Errorf("higher %v, to %g: got %g, %v, want %g, %v", c.higher, c.target, got, ok, c.want, c.ok)
		}
	}
}

func TestCommonTarget(t *testing.T) {
	a := &Summary{Metric: "m", Higher: true, Curve: []Point{{Value: -10}, {Value: -5}}}
	b := &Summary{Metric: "m", Higher: true, Curve: []Point{{Value: -9}, {Value: -6}, {Value: -6.5}}}
	if got, ok := CommonTarget([]*Summary{a, b}); !ok || math.Abs(got-(-10+0.98*4)) > 1e-12 {
		t.Errorf("got %g, %v", got, ok)
	}
	c := &Summary{Metric: "m", Curve: []Point{{Value: 3}, {Value: 1}}}
	d := &Summary{Metric: "m", Curve: []Point{{Value: 2}, {Value: 2}}}
	if got, ok := CommonTarget([]*Summary{c, d}); !ok || math.Abs(got-(3-0.98)) > 1e-12 {
		t.Errorf("lower is better: got %g, %v", got, ok)
	}
	for _, runs := range [][]*Summary{nil, {a, c}, {a, {Metric: "n", Higher: true, Curve: b.Curve}}, {a, {}}} {
		if got, ok := CommonTarget(runs); ok {
			t.Errorf("%v: got %g, want none", runs, got)
		}
	}
}

func TestArgument(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{{"-a 1 -sync bsp", "bsp"}, {"--sync=async", "async"}, {"-sync", ""}, {"sync bsp", ""}, {"", ""}} {
		if got, _ := argument(strings.Fields(c.args), "sync"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for x, want := range map[float64]string{0: "0 B", 999: "999 B", 999.7: "1 kB", 1234567: "1.23 MB", 2e9: "2 GB", 4e13: "40 TB"} {
		if got := thousands(x, "B"); got != want {
			t.Errorf("%g: got %q, want %q", x, got, want)
		}
	}
}

func TestWriteTableAndPlot(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "loss.png")
	var out bytes.Buffer
	if err := Write(&out, plot, synthetic(t, "bsp", -7, 0.5), synthetic(t, "async", -7.1, 0.9)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{"setting", "bsp", "async"} {
		if got := strings.Fields(lines[i]); len(got) == 0 || got[0] != want {
			t.Errorf("line %d: %q, want %s first", i+1, lines[i], want)
		}
	}
	for _, want := range []string{"loglik", "25 %", "120 kB", "1 M", "-7.0067", plot} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	f, err := os.Open(plot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 1000 {
		t.Errorf("picture %v, %v", img, err)
	}
	if err := Write(&out, plot, filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}
