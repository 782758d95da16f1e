package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// planted writes ratings of a matrix of rank 2 plus biases, with a little
// noise, and returns the file.
func planted(t *testing.T) string {
	t.Helper()
	const users, items = 90, 60
	u := func(stream, place int) float64 { return apps.Uniform(9, uint64(stream), uint64(place)) - 0.5 }
	var text strings.Builder
	for i := range users {
		for j := range items {
			if apps.Uniform(9, 5, uint64(i*items+j)) < 0.5 {
				continue
			}
			v := 3 + u(0, i) + u(1, j) + 4*u(2, i)*u(2, j+users) + 4*u(3, i)*u(3, j+users) + 0.1*u(4, i*items+j)
			fmt.Fprintf(&text, "%d,%d,%.4f\n", i+1, j+1, v)
		}
	}
	path := filepath.Join(t.TempDir(), "ratings.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// defaults are flags that suit the planted matrix.
func defaults() config {
	return config{rank: 4, rate: 0.05, decay: 0.99, lambda: 0.005, value: "plain"}
}

// train runs mf on ranks in this process and returns its result.
func train(t *testing.T, ranks int, cfg config, o apps.Options) (map[string]string, error) {
	t.Helper()
	var out bytes.Buffer // of rank 0
	if o.Target == 0 {
		o.Target = math.NaN()
	}
	err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
		own := cfg
		return own.run(ctx, apps.NewJob("mf", o, c, &out, io.Discard))
	})
	result := map[string]string{}
	for _, word := range strings.Fields(out.String()) {
		key, value, _ := strings.Cut(word, "=")
		result[key] = value
	}
	return result, err
}

func number(t *testing.T, result map[string]string, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(result[key], 64)
	if err != nil {
		t.Fatalf("%s in %v: %v", key, result, err)
	}
	return v
}

func TestConvergesUnderEveryPolicy(t *testing.T) {
	path := planted(t)
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(3), ssp.ESSP(3), ssp.Async(), ssp.ABSP(2), ssp.CAP(3), ssp.CVAP(3, 0.5, ssp.Strong)} {
		for _, x := range []struct{ ranks, workers int }{{1, 1}, {2, 1}, {3, 1}, {2, 2}} {
			result, err := train(t, x.ranks, defaults(), apps.Options{
				Policy: policy, Workers: x.workers, Seed: 1, Epochs: 30, Data: []string{path}, ClocksPerEpoch: 12,
			})
			if err != nil {
				t.Errorf("%v, %d × %d: %v", policy, x.ranks, x.workers, err)
				continue
			}
			// The noise has a deviation of 0.029, the values one of 0.63.
			if rmse := number(t, result, "test_rmse"); !(rmse < 0.12) {
				t.Errorf("%v, %d × %d: test RMSE %g after 30 passes, want below 0.12", policy, x.ranks, x.workers, rmse)
			}
			if clocks := number(t, result, "clocks"); clocks != 30*12 {
				t.Errorf("%v, %d × %d: %g clocks, want 360", policy, x.ranks, x.workers, clocks)
			}
		}
	}
}

// TestConvergesUnderFilters: to what the same policy reaches without.
func TestConvergesUnderFilters(t *testing.T) {
	path := planted(t)
	for _, text := range []string{"half", "byte+keys", "threshold:0.02", "topk:0.5+byte+hold:2"} {
		filter, err := ssp.ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(3), ssp.Async()} {
			result, err := train(t, 3, defaults(), apps.Options{
				Policy: policy, Filter: filter, Workers: 1, Seed: 1, Epochs: 30, Data: []string{path}, ClocksPerEpoch: 12,
			})
			if err != nil {
				t.Errorf("%v, %s: %v", policy, text, err)
			} else if rmse := number(t, result, "test_rmse"); !(rmse < 0.12) || result["filter"] != filter.String() {
				t.Errorf("%v, %s: test RMSE %g after 30 passes, want below 0.12: %v", policy, text, rmse, result)
			}
		}
	}
}

func TestTargetEndsTheRun(t *testing.T) {
	result, err := train(t, 2, defaults(), apps.Options{
		Policy: ssp.SSP(1), Workers: 1, Seed: 1, Epochs: 100, Data: []string{planted(t)}, Target: 0.3,
	})
	if err != nil {
		t.Fatal(err)
	}
	if epochs, rmse := number(t, result, "epochs"), number(t, result, "test_rmse"); epochs >= 100 || rmse > 0.3 {
		t.Errorf("%g passes, test RMSE %g; want fewer than 100 and at most 0.3", epochs, rmse)
	}
}

func TestBSPRepeatsBitForBit(t *testing.T) {
	path := planted(t)
	for _, x := range []struct{ ranks, workers int }{{1, 1}, {2, 1}, {3, 2}} {
		var models [2][]byte
		for i := range models {
			out := filepath.Join(t.TempDir(), "model")
			cfg := defaults()
			cfg.evaluate = 1 + 2*i // changes nothing
			_, err := train(t, x.ranks, cfg, apps.Options{
				Policy: ssp.BSP(), Workers: x.workers, Seed: 3, Epochs: 5, Data: []string{path}, Out: out,
			})
			if err != nil {
				t.Fatal(err)
			}
			if models[i], err = os.ReadFile(out); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(models[0], models[1]) {
			t.Errorf("%d × %d: two runs left different models", x.ranks, x.workers)
		}
	}
}

func TestModelFileGivesTheSameErrors(t *testing.T) {
	path, out := planted(t), filepath.Join(t.TempDir(), "model")
	trained, err := train(t, 3, defaults(), apps.Options{
		Policy: ssp.ESSP(2), Workers: 1, Seed: 1, Epochs: 20, Data: []string{path}, Out: out,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.model = out
	read, err := train(t, 2, cfg, apps.Options{Workers: 1, Data: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"train_rmse", "test_rmse"} {
		if a, b := number(t, trained, key), number(t, read, key); math.Abs(a-b) > 1e-5*a {
			t.Errorf("%s: %g when trained, %g read back", key, a, b)
		}
	}
}

func TestBadInputIsOneLine(t *testing.T) {
	good := planted(t)
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.csv")
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[1700] = []byte("12,oops,3\n")
	if err := os.WriteFile(bad, bytes.Join(lines, nil), 0o666); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.csv")
	if err := os.WriteFile(empty, []byte("# nothing\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		bad:                                  bad + ":1701: expected",
		empty:                                empty + ": expected ratings",
		filepath.Join(t.TempDir(), "absent"): "no such file",
	} {
		for _, ranks := range []int{1, 3} {
			_, err := train(t, ranks, defaults(), apps.Options{Policy: ssp.BSP(), Workers: 1, Epochs: 1, Data: []string{good, path}})
			if path == empty {
				_, err = train(t, ranks, defaults(), apps.Options{Policy: ssp.BSP(), Workers: 1, Epochs: 1, Data: []string{path}})
			}
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d ranks: error %v, want one line that says %q", ranks, err, want)
			}
		}
	}
}

func TestDivergenceIsAnError(t *testing.T) {
	cfg := defaults()
	cfg.rate, cfg.decay = 5, 1
	_, err := train(t, 2, cfg, apps.Options{Policy: ssp.BSP(), Workers: 1, Seed: 1, Epochs: 50, Data: []string{planted(t)}})
	if err == nil || !strings.Contains(err.Error(), "diverged in pass") {
		t.Errorf("error %v, want one that says that the run diverged", err)
	}
}

func TestFlags(t *testing.T) {
	for name, change := range map[string]func(*config, *apps.Options){
		"-data":     func(_ *config, o *apps.Options) { o.Data = nil },
		"-rank":     func(c *config, _ *apps.Options) { c.rank = 0 },
		"-rate":     func(c *config, _ *apps.Options) { c.rate = math.NaN() },
		"-decay":    func(c *config, _ *apps.Options) { c.decay = 1.5 },
		"-lambda":   func(c *config, _ *apps.Options) { c.lambda = -1 },
		"-value":    func(c *config, _ *apps.Options) { c.value = "exp" },
		"-evaluate": func(c *config, _ *apps.Options) { c.evaluate = -1 },
		"-predict":  func(c *config, o *apps.Options) { c.model, o.Out = "a", "b" },
	} {
		cfg, o := defaults(), apps.Options{Data: []string{"x"}}
		if err := cfg.check(&o); err != nil {
			t.Fatal(err)
		}
		change(&cfg, &o)
		if err := cfg.check(&o); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func BenchmarkPass(b *testing.B) {
	const users, items, rank = 2000, 500, 32
	var ratings []entry
	for i := range 200000 {
		x := apps.Mix(uint64(i))
		ratings = append(ratings, entry{user: int32(x % users), item: int32(x >> 32 % items), value: 1})
	}
	counts := make([]int32, items)
	for _, e := range ratings {
		counts[e.item]++
	}
	p := newPlan(1, 1, 8, make([]int32, users), counts)
	l := &local{shard: newShard(p, ratings, nil)}
	l.factors, l.bias = make([]float32, len(l.users)*rank), make([]float32, len(l.users))
	rows := make([]float32, items*(rank+1))
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range l.runs {
			l.step(rows[int(r.item)*(rank+1):][:rank+1], r, 1, rank, 0.5, 0.01, 0.1)
		}
	}
	b.ReportMetric(float64(len(ratings))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mratings/s")
}
