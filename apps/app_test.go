package apps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/ssp"
)

// probe returns an app with a flag of its own that keeps its options.
func probe(got *Options, rank *int) *App {
	return &App{
		Name: "probe", Summary: "shows its flags", Text: "More.", Examples: []string{"probe -rank 3"},
		Flags:    []cli.Flag{&cli.IntFlag{Name: "rank", Aliases: []string{"k"}, Value: 8, Usage: "length of a `ROW`", Destination: rank}},
		Defaults: Options{Epochs: 7},
		Run: func(_ context.Context, job *Job) error {
			*got = job.Options
			return job.Finish(job.Result(1, 2, 3e6))
		},
	}
}

func alone(string) (string, bool) { return "", false }

func TestFlagsReachTheApp(t *testing.T) {
	var got Options
	var rank int
	var out, log bytes.Buffer
	args := strings.Fields("probe -data a -data b -rank 5 -sync essp -staleness 2 -filter topk:0.5+half -workers 3 -seed 9 -epochs 4 --clocks-per-epoch 6 -target 0.5 -json")
	if code := probe(&got, &rank).main(args, alone, &out, &log); code != 0 {
		t.Fatalf("exit %d: %s", code, log.String())
	}
	if got.Policy != ssp.ESSP(2) || got.Filter.String() != "topk:0.5+half" || got.Workers != 3 || got.Seed != 9 || got.Epochs != 4 || got.ClocksPerEpoch != 6 ||
		got.Target != 0.5 || !slices.Equal(got.Data, []string{"a", "b"}) || !got.JSON || rank != 5 {
		t.Errorf("options %+v, rank %d", got, rank)
	}
	if want := `{"app":"probe","sync":"essp:2","filter":"topk:0.5+half","ranks":1,"workers":3,"clocks":1,"seconds":2.000,"rate":3e6}` + "\n"; out.String() != want {
		t.Errorf("output %q, want %q", out.String(), want)
	}
}

func TestDefaults(t *testing.T) {
	var got Options
	var rank int
	var out bytes.Buffer
	if code := probe(&got, &rank).main([]string{"probe"}, alone, &out, io.Discard); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if got.Policy != ssp.SSP(3) || got.Workers != 1 || got.Seed != 1 || got.Epochs != 7 || got.ClocksPerEpoch != 0 || !math.IsNaN(got.Target) || rank != 8 {
		t.Errorf("options %+v, rank %d", got, rank)
	}
	if want := "result app=probe sync=ssp:3 ranks=1 workers=1 clocks=1 seconds=2.000 rate=3e6\n"; out.String() != want {
		t.Errorf("output %q, want %q", out.String(), want)
	}
}

func TestUsageErrorsAreOneLine(t *testing.T) {
	for args, want := range map[string]string{
		"-bad":                 "-bad",
		"-rank x":              "rank",
		"-rank":                "rank",
		"stray":                `unexpected argument "stray"`,
		"-rank 1 file -json":   `unexpected argument "file"`,
		"-workers 0":           "-workers 0: expected at least 1",
		"-epochs -1":           "-epochs -1: expected",
		"-clocks-per-epoch 0":  "-clocks-per-epoch 0: expected",
		"-staleness -2":        "-staleness -2: expected",
		"-sync sometimes":      "sometimes",
		"-filter most":         "most",
		"-out /absent/x/model": "/absent/x/model: can not be written",
	} {
		var got Options
		var rank int
		var out, log bytes.Buffer
		code := probe(&got, &rank).main(append([]string{"probe"}, strings.Fields(args)...), alone, &out, &log)
		text := log.String()
		if code != 1 || out.Len() > 0 || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "probe: ") || !strings.Contains(text, want) {
			t.Errorf("%s: exit %d, output %q, errors %q; want 1, nothing, one line that says %q", args, code, out.String(), text, want)
		}
	}
}

func TestCheckSeesTheFlags(t *testing.T) {
	var got Options
	var rank int
	var log bytes.Buffer
	a := probe(&got, &rank)
	a.Check = func(o *Options) error { return fmt.Errorf("-rank %d with %d passes", rank, o.Epochs) }
	if code := a.main([]string{"probe", "-k", "4"}, alone, io.Discard, &log); code != 1 || log.String() != "probe: -rank 4 with 7 passes\n" {
		t.Errorf("exit %d, errors %q", code, log.String())
	}
}

// Started to check its arguments, the program says what it thinks of them and does
// nothing.
func TestArgumentsAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"-sync ssp:2 -out /absent/x/model": "ok\n", // the folder may come
		"-sync sometimes":                  "sometimes",
		"-rank x":                          "-rank",
		"-k 4 -epochs 3":                   "-rank 4 with 3 passes\n",
	} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := syscall.Dup(int(write.Fd())) // which the program closes
		if err != nil {
			t.Fatal(err)
		}
		if err := write.Close(); err != nil {
			t.Fatal(err)
		}
		var got Options
		var rank int
		var out, log bytes.Buffer
		a := probe(&got, &rank)
		a.Check = func(o *Options) error {
			if o.Epochs == 3 {
				return fmt.Errorf("-rank %d with %d passes", rank, o.Epochs)
			}
			return nil
		}
		lookup := func(name string) (string, bool) { return strconv.Itoa(fd), name == bootstrap.EnvCheck }
		code := a.main(append([]string{"probe"}, strings.Fields(args)...), lookup, &out, &log)
		said, err := io.ReadAll(read)
		if err != nil || code != 0 || out.Len()+log.Len() > 0 || !strings.Contains(string(said), want) || strings.Count(string(said), "\n") != 1 {
			t.Errorf("%s: exit %d, output %q, errors %q, said %q (%v), want %q", args, code, out.String(), log.String(), said, err, want)
		}
		_ = read.Close() // it was only read
	}
}

func TestHelp(t *testing.T) {
	for _, flag := range []string{"-help", "--help", "-h"} {
		for rank, prints := range map[string]bool{"": true, "0": true, "2": false} {
			var got Options
			var k int
			var out bytes.Buffer
			a := probe(&got, &k)
			a.Without = []string{"target"}
			lookup := func(name string) (string, bool) { return rank, name == "SSPURN_RANK" && rank != "" }
			if code := a.main([]string{"probe", "-rank", "3", flag}, lookup, &out, io.Discard); code != 0 {
				t.Errorf("%s: exit %d", flag, code)
			}
			if !prints {
				if out.Len() > 0 {
					t.Errorf("rank %s prints the help, too", rank)
				}
				continue
			}
			for _, want := range []string{"probe: shows its flags", "More.", "-rank, -k ROW", "length of a ROW (default 8)", "-epochs", "(default 7)", "-sync", "  probe -rank 3"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%s: no %q in\n%s", flag, want, out.String())
				}
			}
			if strings.Contains(out.String(), "-target") || strings.Contains(out.String(), "`") {
				t.Errorf("%s: -target or a backquote in\n%s", flag, out.String())
			}
		}
	}
}

// TestTogether: one rank's fault is everybody's end, with the fault's text.
func TestTogether(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		for bad := -1; bad < n; bad++ {
			err := runtime.RunLocal(t.Context(), n, func(ctx context.Context, c *runtime.Comm) error {
				job := NewJob("x", Options{}, c, io.Discard, io.Discard)
				var own error
				if c.Rank() >= bad && bad >= 0 {
					own = &InputError{File: "f", Line: int64(c.Rank()), Err: errors.New("expected more")}
				}
				return job.Together(ctx, own)
			})
			switch {
			case bad < 0 && err != nil:
				t.Errorf("%d ranks without a fault: %v", n, err)
			case bad >= 0 && (err == nil || !strings.Contains(err.Error(), "expected more") || strings.Contains(err.Error(), "\n")):
				t.Errorf("%d ranks, from rank %d on bad: %v", n, bad, err)
			}
			if bad > 0 && err != nil && !strings.Contains(err.Error(), fmt.Sprintf("f:%d: ", bad)) {
				t.Errorf("%d ranks, from rank %d on bad: not the first one's: %v", n, bad, err)
			}
		}
	}
}

func TestExchange(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8} {
		err := runtime.RunLocal(t.Context(), n, func(ctx context.Context, c *runtime.Comm) error {
			out := make([][]int32, n)
			for to := range out { // nothing for some
				for i := range (c.Rank() + to) % 3 * 1000 {
					out[to] = append(out[to], int32(c.Rank()*1_000_000+to*10_000+i))
				}
			}
			in, err := Exchange(ctx, c, out)
			if err != nil {
				return err
			}
			for from, got := range in {
				if len(got) != (from+c.Rank())%3*1000 {
					return fmt.Errorf("%d numbers from rank %d at rank %d", len(got), from, c.Rank())
				}
				for i, v := range got {
					if int(v) != from*1_000_000+c.Rank()*10_000+i {
						return fmt.Errorf("number %d from rank %d at rank %d is %d", i, from, c.Rank(), v)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d ranks: %v", n, err)
		}
	}
}

func TestReached(t *testing.T) {
	for _, x := range []struct {
		target float64
		better string
		value  float64
		want   bool
	}{
		{math.NaN(), "lower", -1, false},
		{1, "lower", 1, true}, {1, "lower", 1.1, false}, {1, "lower", math.NaN(), false},
		{-9, "higher", -8, true}, {-9, "higher", -10, false},
	} {
		job := &Job{Options: Options{Target: x.target}}
		if got := job.Reached(Figure{Better: x.better, Value: x.value}); got != x.want {
			t.Errorf("%+v: %t", x, got)
		}
	}
}
