package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"-np", "2,4", "-transports", "shm", "-under", "taskset -c 0", "-rounds", "2", "allreduce", "p*"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.np, []int{2, 4}) || !slices.Equal(o.under, []string{"taskset", "-c", "0"}) || o.rounds != 2 {
		t.Errorf("got %+v", o)
	}
	for p, want := range map[point]bool{
		{transport: shm, op: "allreduce", ranks: 4}: true,
		{transport: shm, op: "put", ranks: 2}:       true,
		{transport: tcp, op: "put", ranks: 2}:       false,
		{transport: shm, op: "put", ranks: 8}:       false,
		{transport: shm, op: "get", ranks: 2}:       false,
		{op: launchTrue, ranks: launchRanks}:        false,
	} {
		if o.wants(p) != want {
			t.Errorf("wants %+v: %v", p, !want)
		}
	}
	o.names = nil
	if !o.wants(point{op: launchTrue, ranks: launchRanks}) {
		t.Error("without names, launches belong to it")
	}
	for _, args := range [][]string{
		{"-np", "1"}, {"-np", "x"}, {"-transports", "udp"}, {"-rounds", "0"}, {"-time", "0"}, {"-limit", "-1s"}, {"-launches", "-1"}, {"nothing"}, {"-x"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// TestBind: ranks are bound when that is asked for, before the program is named.
func TestBind(t *testing.T) {
	g := group{transport: tcp, op: "barrier", ranks: 4, sizes: []int{0}}
	for name, command := range map[string]func(g group, o options) (words, env []string){
		"--bind-to core:overload-allowed": openMPI("mpirun", "peer"), "-bind-to core": mpich("mpiexec", "peer"),
	} {
		for _, bind := range []bool{true, false} {
			words, _ := command(g, options{bind: bind, time: time.Second})
			before, _, _ := strings.Cut(strings.Join(words, " "), " peer ")
			if strings.Contains(before, name) != bind {
				t.Errorf("bind %v: %q", bind, words)
			}
		}
	}
}

func TestGroups(t *testing.T) {
	all := points()
	seen := map[point]bool{}
	for _, p := range all {
		if key := (point{transport: p.transport, op: p.op, bytes: p.bytes, ranks: p.ranks}); seen[key] {
			t.Errorf("%+v twice", p)
		} else {
			seen[key] = true
		}
		if (p.goal > 0) == (p.most > 0) {
			t.Errorf("%+v: no goal, or two", p)
		}
	}
	count := 0
	for _, g := range groups(all) {
		count += len(g.sizes)
	}
	if count != len(all) {
		t.Errorf("%d points in groups of %d", len(all), count)
	}
	g := group{op: "stream", sizes: []int{64, 8}}
	if got := strings.Join(g.flags("100ms", "10ms"), " "); got != "-op stream -sizes 64,8 -time 100ms -warmup 10ms -iters 5" {
		t.Errorf("flags %s", got)
	}
}

func TestParseRows(t *testing.T) {
	const head = "op,bytes,ranks,samples,usec_median,usec_p99,usec_min,mb_per_s,per_s\n"
	got, err := parseRows("a warning, of a library\n"+head+"put,8,2,5,1.5,2,1,5,6\nget,8,2,5,3,3,3,3,3\nput,64,2,5,2.5,2,1,5,6\nresult app=bench\n", "put")
	if want := map[int]float64{8: 1.5, 64: 2.5}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, out := range []string{"", head, "put,8,2,5,x,2,1,5,6\n", "put,8,2,5,0,2,1,5,6\n", "put,8,2,5,nan,2,1,5,6\n"} {
		if _, err := parseRows(out, "put"); err == nil {
			t.Errorf("%q: no error", out)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, x := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, math.NaN(), 1}, 2.5}, {[]float64{9, 1, 4}, 4}} {
		if got := median(x.values); got != x.want {
			t.Errorf("median of %v: %v, want %v", x.values, got, x.want)
		}
	}
	if !math.IsNaN(median([]float64{math.NaN()})) {
		t.Error("a median of nothing")
	}
}

// scripted is a lab whose sides say what the functions return.
func scripted(sides ...func(g group, round int) string) *lab {
	l := &lab{options: options{rounds: 3, limit: 10 * time.Second}, progress: io.Discard}
	for i, f := range sides {
		round := 0
		l.sides = append(l.sides, side{fmt.Sprint("side", i), func(g group, _ options) (words, env []string) {
			round++
			if text := f(g, round); text != "" {
				return []string{"sh", "-c", text}, nil
			}
			return nil, nil
		}})
	}
	return l
}

func row(op string, bytes int, usec float64) string {
	return fmt.Sprintf("%s,%d,2,5,%g,9,9,9,9", op, bytes, usec)
}

func TestCompare(t *testing.T) {
	todo := []point{
		{transport: tcp, op: "a", bytes: 8, ranks: 2, goal: 1},
		{transport: tcp, op: "a", bytes: 2 << 20, ranks: 2, goal: 0.5},
		{transport: tcp, op: "b", ranks: 2, goal: 1},
		{transport: tcp, op: "c", bytes: 2048, ranks: 2},
	}
	l := scripted(func(g group, round int) string { // the machine gets slower with each round
		if g.op == "b" {
			return ""
		}
		return "echo " + row(g.op, g.sizes[0], 10*float64(round)) + "; echo " + row(g.op, 2<<20, 200*float64(round))
	}, func(g group, round int) string {
		if round == 1 {
			return "echo broken >&2; exit 3"
		}
		return "echo " + row(g.op, g.sizes[0], 12.5*float64(round)) + "; echo " + row(g.op, 2<<20, 250*float64(round))
	}, func(g group, round int) string { return "echo " + row(g.op, g.sizes[0], 100*float64(round)) })
	// Rounds of a scripted side are calls: three groups of each round.
	if err := l.measure(t.Context(), todo[:2]); err != nil {
		t.Fatal(err)
	}
	lines := l.compare(todo)
	want := [][]string{
		{"tcp", "a", "8 B", "2", "20", "31.2 (1 lost)", "200", "0.80", "≤ 1", "met"},
		{"tcp", "a", "2 MiB", "2", "400", "625 (1 lost)", "–", "0.80", "≤ 0.5", "MISSED"},
		{"tcp", "b", "", "2", "–", "–", "–", "–", "≤ 1", "–"},
		{"tcp", "c", "2 KiB", "2", "–", "–", "–", "–", "–", "–"},
	}
	for i, n := range lines {
		if !slices.Equal(n.cells(), want[i]) {
			t.Errorf("got  %q\nwant %q", n.cells(), want[i])
		}
	}
	if head := "| over | operation | bytes | ranks | side0 µs | side1 µs | side2 µs | ratio | goal |  |\n|---|---|---|---|---|---|---|---|---|---|\n| tcp | a | 8 B |"; !strings.HasPrefix(markdown(lines), head) {
		t.Errorf("got %s", markdown(lines))
	}
	if got := text(lines); strings.Count(got, "\n") != 5 || !strings.Contains(got, "MISSED") {
		t.Errorf("got %s", got)
	}
	n := l.compare([]point{{op: launchTrue, most: 100e3}})[0]
	if c := n.cells(); c[8] != "≤ 100000 µs" || n.verdict != open {
		t.Errorf("got %q", c)
	}
}

func TestOursMustWork(t *testing.T) {
	l := scripted(func(group, int) string { return "echo it broke >&2; exit 3" }, func(group, int) string { return "" })
	err := l.measure(t.Context(), points()[:1])
	if err == nil || !strings.Contains(err.Error(), "exit status 3\n\tit broke") {
		t.Errorf("got %v", err)
	}
}

// TestLimit: what takes too long is ended, with all that it has started, in
// whatever process group.
func TestLimit(t *testing.T) {
	adoptOrphans()
	file := filepath.Join(t.TempDir(), "pid")
	_, _, err := launch(t.Context(), 300*time.Millisecond, []string{"sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $! >" + file + "; exec sleep 1000"}, nil)
	if err == nil || !strings.Contains(err.Error(), "no end in 300ms") {
		t.Fatalf("got %v", err)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("needs /proc")
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("process %s is still there: %v", pid, err)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	l := scripted(func(group, int) string { return "echo " + row("pingpong", 8, 1) }, func(group, int) string { cancel(stopped); return "sleep 1000" })
	if err := l.measure(ctx, points()[:1]); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
}
