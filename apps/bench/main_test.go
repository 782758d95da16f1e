package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
)

func TestVerify(t *testing.T) {
	good := config{op: "pingpong", time: time.Second, warmup: -1, iters: 1, count: 1, format: formatTable}
	for name, test := range map[string]struct {
		change func(c *config)
		want   string // part of the error; empty for none
	}{
		"defaults":       {func(*config) {}, ""},
		"a pattern":      {func(c *config) { c.op = "store-*,pairs-*" }, ""},
		"an unknown op":  {func(c *config) { c.op = "pingpong,nope" }, `-op "nope": there are pingpong, stream`},
		"a bad pattern":  {func(c *config) { c.op = "[" }, `-op "[": not a pattern`},
		"no op":          {func(c *config) { c.op = "" }, "there are"},
		"a bad size":     {func(c *config) { c.size = "8x" }, "-sizes: "},
		"negative time":  {func(c *config) { c.time = -1 }, "-time -1ns"},
		"no iterations":  {func(c *config) { c.iters = 0 }, "-iters 0"},
		"too many":       {func(c *config) { c.iters = maxSamples + 1 }, "-iters 1048577"},
		"no count":       {func(c *config) { c.count = 0 }, "-count 0"},
		"two models":     {func(c *config) { c.tune, c.known = "a", "b" }, "-tune with -model"},
		"another format": {func(c *config) { c.format = "xml" }, `-format "xml": expected table, csv, bench`},
	} {
		c := good
		test.change(&c)
		err := c.verify(nil)
		if test.want == "" && (err != nil || c.warmup != c.time/10) {
			t.Errorf("%s: %v, warm-up %v", name, err, c.warmup)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []benchmark{{name: "a-1", ranks: 1}, {name: "a-2", ranks: 2}, {name: "b", ranks: 3}}
	for _, test := range []struct {
		names string
		ranks int
		want  string // names, or the error
	}{
		{"b,a-1", 3, "b, a-1"},
		{"a-*", 2, "a-1, a-2"},
		{"a-*", 1, "a-1"},
		{"a-2,a-*,a-2", 2, "a-2, a-1"},
		{"*", 2, "a-1, a-2"},
		{"b", 2, "-op b needs 3 ranks: sspurn -n 3 bench -op b"},
		{"a-1,c*", 2, `-op "c*": there are a-1, a-2, b`},
	} {
		chosen, err := choose(all, test.names, test.ranks)
		got := nameList(chosen)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s of %d ranks: %s, want %s", test.names, test.ranks, got, test.want)
		}
	}
}

func TestNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range benchmarks {
		if seen[b.name] || b.text == "" || len(b.sizes) == 0 || b.ranks < 1 {
			t.Errorf("%s: twice, or without text, sizes or ranks", b.name)
		}
		seen[b.name] = true
	}
}

func TestPoints(t *testing.T) {
	cfg := config{op: "allreduce,barrier,rate", sizes: []int{8, 64}}
	points, err := cfg.points(2)
	var got []int
	for _, p := range points {
		got = append(got, p.size)
	}
	if want := []int{8, 64, 0, 8}; err != nil || !slices.Equal(got, want) {
		t.Errorf("sizes %d, %v, want %d", got, err, want)
	}
	for _, size := range []int{0, 6} {
		cfg = config{op: "allreduce", sizes: []int{size}}
		if _, err := cfg.points(2); err == nil || !strings.Contains(err.Error(), "expected a multiple of 4 bytes for allreduce") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// local runs the app on n ranks in this process and returns rank 0's output.
func local(t *testing.T, n int, cfg config, o apps.Options) (stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	err := runtime.RunLocal(t.Context(), n, func(ctx context.Context, c *runtime.Comm) error {
		cfg := cfg
		if err := cfg.verify(&o); err != nil {
			return err
		}
		return cfg.run(ctx, apps.NewJob("bench", o, c, &out, &log))
	})
	if err != nil {
		t.Fatalf("%d ranks: %v", n, err)
	}
	return out.String(), log.String()
}

// TestAll runs every benchmark a few times, on numbers of ranks that have pairs
// and that have not, and with sizes on both sides of what travels at once.
func TestAll(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		for _, size := range []string{"8", "2008,100000"} {
			out, _ := local(t, n, config{op: "*", size: size, iters: 3, count: 1, format: formatCSV}, apps.Options{})
			lines, result, _ := strings.Cut(out, "result ")
			rows, err := csv.NewReader(strings.NewReader(lines)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			chosen, err := choose(benchmarks, "*", n)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range chosen {
				if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == b.name && row[3] == "3" }) {
					t.Errorf("%d ranks: no 3 samples of %s in\n%s", n, b.name, out)
				}
			}
			if !strings.HasPrefix(result, "app=bench ranks=") {
				t.Errorf("%d ranks: result %q", n, result)
			}
		}
	}
}

// TestChecks: what has not been done is not taken for right.
func TestChecks(t *testing.T) {
	for _, b := range benchmarks {
		if b.name == "barrier" {
			continue // moves nothing
		}
		found := make([]error, 4) // an even number, so that all have a partner
		err := runtime.RunLocal(t.Context(), len(found), func(ctx context.Context, c *runtime.Comm) error {
			trial, err := b.start(ctx, env{c, 64})
			if err != nil {
				return err
			}
			if trial.check != nil {
				found[c.Rank()] = trial.check(ctx)
			}
			if trial.close != nil {
				return trial.close(ctx)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		// An untouched row that was never incremented is right as it is.
		if b.name != "store-inc" && !slices.ContainsFunc(found, func(err error) bool { return err != nil && strings.Contains(err.Error(), "wrong ") }) {
			t.Errorf("%s finds nothing wrong before it has run: %v", b.name, found)
		}
	}
}

func TestFailure(t *testing.T) {
	err := runtime.RunLocal(t.Context(), 1, func(ctx context.Context, c *runtime.Comm) error {
		cfg := config{op: "pingpong", iters: 1, count: 1, format: formatTable}
		return cfg.run(ctx, apps.NewJob("bench", apps.Options{}, c, &bytes.Buffer{}, &bytes.Buffer{}))
	})
	if err == nil || !strings.Contains(err.Error(), "-op pingpong needs 2 ranks") {
		t.Errorf("got %v", err)
	}
}

func TestBudget(t *testing.T) {
	took, times := 0, 0
	err := runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
		samples, err := measure(ctx, c, &trial{slowest: true, per: 2, once: func(context.Context) error {
			if c.Rank() == 0 {
				times++
			}
			return nil
		}}, budget{iters: 2*maxBatch + 1})
		if c.Rank() == 0 {
			took = len(samples)
		} else if samples != nil {
			t.Error("samples on rank 1")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if took < 2*maxBatch+1 || times != took+1 {
		t.Errorf("%d samples of %d times, want at least %d and one time more", took, times, 2*maxBatch+1)
	}
}

func TestEmpty(t *testing.T) {
	out, _ := local(t, 3, config{op: "pingpong", iters: 1, count: 1, format: formatTable, empty: true}, apps.Options{JSON: true})
	if out != `{"app":"bench","ranks":3}`+"\n" {
		t.Errorf("got %q", out)
	}
}

func TestOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.csv")
	out, log := local(t, 2, config{op: "pingpong", size: "8", time: time.Millisecond, iters: 1, count: 2, format: formatCSV}, apps.Options{Out: path})
	if !strings.HasPrefix(out, "result app=bench ranks=2 points=2 seconds=") || strings.Count(out, "\n") != 1 {
		t.Errorf("got %q", out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), "pingpong,8,2,") != 2 {
		t.Errorf("got %s", text)
	}
	if !strings.HasPrefix(log, "bench: [1/2, about 0 s left] pingpong of 8 bytes\n") {
		t.Errorf("log %q", log)
	}
}

func TestModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.json")
	cfg := config{op: "allreduce", size: "64", iters: 1, count: 1, format: formatCSV, tune: path}
	if _, log := local(t, 2, cfg, apps.Options{}); !strings.Contains(log, "the model is in "+path) {
		t.Errorf("log %q", log)
	}
	cfg.tune, cfg.known = "", path
	if out, _ := local(t, 3, cfg, apps.Options{}); !strings.Contains(out, "allreduce,64,3,") {
		t.Errorf("got %q", out)
	}
	if err := os.WriteFile(path, []byte("no model"), 0o666); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: "expected a model that -tune wrote", path + ".none": "can not be read"} {
		cfg.known = file
		err := runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
			return cfg.run(ctx, apps.NewJob("bench", apps.Options{}, c, &bytes.Buffer{}, &bytes.Buffer{}))
		})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestFormats(t *testing.T) {
	f := figures{op: "store-get", bytes: 64, ranks: 2, samples: 10, median: 4, p99: 9.25, min: 3.5, mbps: 16, rate: 250e3}
	for format, want := range map[string]string{
		formatTable: "store-get                    64      2        10          4.000          9.250          3.500        16.00        250e3\n",
		formatCSV:   "store-get,64,2,10,4.0000,9.2500,3.5000,16.00,250000.0\n",
		formatBench: "BenchmarkStoreGet/ranks=2/bytes=64\t10\t4000.00 ns/op\t16.00 MB/s\t9250.00 p99-ns/op\t3500.00 min-ns/op\n",
	} {
		var b bytes.Buffer
		if err := f.write(&b, format); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%q, want\n%q", format, err, b.String(), want)
		}
		b.Reset()
		if err := writeHead(&b, format); err != nil || b.Len() == 0 {
			t.Errorf("%s: no head, %v", format, err)
		}
	}
	want := "result app=bench op=store-get bytes=64 ranks=2 samples=10 usec_median=4.000 usec_p99=9.250 usec_min=3.500 mb_per_s=16.00 per_s=250e3 seconds=1.500"
	if got := result("bench", 2, []figures{f}, 1.5).Line(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSummarize(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(1000 * (100 - i))
	}
	for _, test := range []struct {
		samples          []float64
		median, p99, min float64
	}{
		{[]float64{3000}, 3, 3, 3},
		{[]float64{4000, 1000}, 2.5, 4, 1},
		{[]float64{9000, 1000, 4000}, 4, 9, 1},
		{hundred, 50.5, 100, 1},
	} {
		f := summarize(point{size: 10}, 2, 20, test.samples)
		if f.median != test.median || f.p99 != test.p99 || f.min != test.min || f.samples != len(test.samples) || f.mbps != 20/f.median || f.rate != 1e6/f.median {
			t.Errorf("%v: %+v", test.samples, f)
		}
	}
	if f := summarize(point{}, 2, 8, []float64{0, 0}); f.mbps != 0 || f.rate != 0 {
		t.Errorf("no time at all: %+v", f)
	}
	if !math.IsNaN(quantile(nil, 50)) {
		t.Error("a median of nothing")
	}
}

func TestParseSizes(t *testing.T) {
	for _, test := range []struct {
		text string
		want []int // nil: an error
	}{
		{"0", []int{0}},
		{"8,64KiB,4MiB,1g", []int{8, 64 << 10, 4 << 20, 1 << 30}},
		{"64k,4m,2B,1gib", []int{64 << 10, 4 << 20, 2, 1 << 30}},
		{"1..8", []int{1, 2, 4, 8}},
		{"8..1KiB:8,5", []int{8, 64, 512, 1024, 5}},
		{"7..7", []int{7}},
		{"512MiB..1GiB:1000", []int{512 << 20, 1 << 30}},
		{"", nil}, {"k", nil}, {"-1", nil}, {"8kb", nil}, {"1025m", nil}, {"4294967295m", nil}, {"99999999999", nil},
		{"8,", nil}, {"0..8", nil}, {"8..4", nil}, {"8..", nil}, {"..8", nil}, {"1..8:1", nil}, {"1..8:x", nil}, {"1..8:", nil},
	} {
		got, err := parseSizes(test.text)
		if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%q: %d, %v, want %d", test.text, got, err, test.want)
		}
	}
}

// FuzzParseSizes: what is read is within the limits, and ends.
func FuzzParseSizes(f *testing.F) {
	for _, text := range []string{"8", "64KiB..4MiB:3", "1..1g", "0..0", ":", "8..9..10"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sizes, err := parseSizes(text)
		if (err == nil) != (len(sizes) > 0) {
			t.Errorf("%q: %d, %v", text, sizes, err)
		}
		for _, n := range sizes {
			if n < 0 || n > maxSize {
				t.Errorf("%q: %d", text, n)
			}
		}
	})
}
