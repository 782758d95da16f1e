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

// planted writes rows whose labels follow a random linear rule, most of the time,
// sorted by label, and returns the file. Columns 1 to 60; small counts.
func planted(t testing.TB, rows int, seed uint64) string {
	t.Helper()
	u := func(stream, place int) float64 { return apps.Uniform(seed, uint64(stream), uint64(place)) }
	var of [2]strings.Builder
	for i := range rows {
		var line strings.Builder
		z := 0.5
		for j := 1; j <= 60; j++ {
			if u(1, i*100+j) > 0.15 {
				continue
			}
			n := 1 + int(3*u(2, i*100+j))
			z += 3 * (apps.Uniform(4, 3, uint64(j)) - 0.5) * float64(n)
			fmt.Fprintf(&line, " %d:%d", j, n)
		}
		label := 0
		if probability(2*z) > u(5, i) {
			label = 1
		}
		fmt.Fprintf(&of[label], "%+d%s\n", 2*label-1, line.String())
	}
	path := filepath.Join(t.TempDir(), "rows.libsvm")
	if err := os.WriteFile(path, []byte(of[0].String()+of[1].String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// defaults are flags that suit the planted rows.
func defaults() config {
	return config{split: 5, features: "raw", bias: 1, l2: 1e-3, update: "adagrad:0.2", rate: 0.05, decay: 0.9, evaluate: 1}
}

// train runs linear on ranks in this process and returns its result.
func train(t testing.TB, ranks int, cfg config, o apps.Options) (map[string]string, error) {
	t.Helper()
	var out bytes.Buffer // of rank 0
	if o.Target == 0 {
		o.Target = math.NaN()
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	if err := cfg.check(&o); err != nil {
		t.Fatal(err)
	}
	err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
		own := cfg
		return own.run(ctx, apps.NewJob("linear", o, c, &out, io.Discard))
	})
	result := map[string]string{}
	for _, word := range strings.Fields(out.String()) {
		key, value, _ := strings.Cut(word, "=")
		result[key] = value
	}
	return result, err
}

func number(t testing.TB, result map[string]string, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(result[key], 64)
	if err != nil {
		t.Fatalf("%s in %v: %v", key, result, err)
	}
	return v
}

// TestSameModelUnderEveryPolicy: whatever ranks, workers, policy and rule, the
// objective comes close to that of a long run on one rank.
func TestSameModelUnderEveryPolicy(t *testing.T) {
	path := planted(t, 2000, 9)
	run := func(policy ssp.Policy, ranks, workers, epochs int, update string) map[string]string {
		cfg := defaults()
		cfg.update = update
		result, err := train(t, ranks, cfg, apps.Options{Policy: policy, Workers: workers, Seed: 1, Epochs: epochs, Data: []string{path}})
		if err != nil {
			t.Fatalf("%v, %d × %d, %s: %v", policy, ranks, workers, update, err)
		}
		return result
	}
	best := run(ssp.BSP(), 1, 1, 60, "adagrad:0.05")
	goal, acc := number(t, best, "objective"), number(t, best, "test_acc")
	if goal > 0.45 || acc < 0.8 {
		t.Fatalf("objective %g, accuracy %g after 60 passes: nothing was learned", goal, acc)
	}
	for _, x := range []struct {
		policy         ssp.Policy
		ranks, workers int
		update         string
	}{
		{ssp.BSP(), 1, 1, "adagrad:0.2"}, {ssp.BSP(), 2, 1, "adagrad:0.2"}, {ssp.SSP(3), 3, 1, "adagrad:0.2"}, {ssp.ESSP(3), 5, 1, "adagrad:0.2"},
		{ssp.SSP(1), 8, 1, "adagrad:0.2"}, {ssp.Async(), 2, 1, "adagrad:0.1"}, {ssp.SSP(2), 2, 2, "adagrad:0.2"}, {ssp.BSP(), 3, 2, "sgd:0.003"},
		{ssp.SSP(1), 2, 1, "ftrl:0.3"}, {ssp.SSP(3), 3, 1, "adarevision:0.2"}, {ssp.ESSP(1), 2, 1, "adam:0.02"},
		{ssp.BSP(), 1, 1, "add"}, {ssp.BSP(), 5, 1, "add"}, {ssp.SSP(3), 3, 1, "add"}, {ssp.ESSP(3), 2, 2, "add"}, {ssp.Async(), 2, 1, "add"},
	} {
		result := run(x.policy, x.ranks, x.workers, 20, x.update)
		most := 1.04
		if _, bounded := x.policy.Staleness(); x.update == "add" || !bounded {
			most = 1.2 // changes that meet are averaged, and make less of a pass; or come when they come
		}
		if got := number(t, result, "objective"); got > most*goal {
			t.Errorf("%v, %d × %d, %s: objective %g after 20 passes, want near %g", x.policy, x.ranks, x.workers, x.update, got, goal)
		}
		if result["app"] != "linear" || result["loss"] != result["test_logloss"] || result["epochs"] != "20" {
			t.Errorf("result %v", result)
		}
		each := derivedClocks(1600, x.ranks*x.workers, x.policy)
		if clocks := number(t, result, "clocks"); math.Abs(clocks/20-float64(each)) > 3 {
			t.Errorf("%v, %d × %d: %g clocks, want about %d", x.policy, x.ranks, x.workers, clocks, 20*each)
		}
	}
}

func TestTargetEndsTheRun(t *testing.T) {
	result, err := train(t, 2, defaults(), apps.Options{
		Policy: ssp.SSP(1), Seed: 1, Epochs: 100, Data: []string{planted(t, 1000, 9)}, Target: 0.5,
	})
	if err != nil {
		t.Fatal(err)
	}
	if epochs, loss := number(t, result, "epochs"), number(t, result, "test_logloss"); epochs >= 100 || loss > 0.5 {
		t.Errorf("%g passes, test logloss %g; want fewer than 100 and at most 0.5", epochs, loss)
	}
}

// TestBSPRepeatsBitForBit, also when the rows come from other files, packed or
// not.
func TestBSPRepeatsBitForBit(t *testing.T) {
	path := planted(t, 1200, 9)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	var two []string
	for i, part := range [][][]byte{lines[:200], lines[200:]} {
		two = append(two, filepath.Join(t.TempDir(), strconv.Itoa(i)))
		if err := os.WriteFile(two[i], bytes.Join(part, nil), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, update := range []string{"adagrad:0.2", "add"} {
		for _, x := range []struct{ ranks, workers int }{{1, 1}, {2, 1}, {3, 2}, {5, 1}, {8, 1}} {
			var models [3][]byte
			for i := range models {
				cfg := defaults()
				cfg.update = update
				data := []string{path}
				if i == 2 {
					data = two
				}
				out := filepath.Join(t.TempDir(), "model")
				_, err := train(t, x.ranks, cfg, apps.Options{Policy: ssp.BSP(), Workers: x.workers, Seed: 3, Epochs: 3, Data: data, Out: out})
				if err != nil {
					t.Fatal(err)
				}
				if models[i], err = os.ReadFile(out); err != nil {
					t.Fatal(err)
				}
			}
			if len(models[0]) == 0 || !bytes.Equal(models[0], models[1]) {
				t.Errorf("%s, %d × %d: two runs left different models", update, x.ranks, x.workers)
			}
			if !bytes.Equal(models[0], models[2]) {
				t.Errorf("%s, %d × %d: another model from the same rows in two files", update, x.ranks, x.workers)
			}
		}
	}
}

func TestTargetWithoutTestIsOfTheTrainingRows(t *testing.T) {
	cfg := defaults()
	cfg.split = 0
	result, err := train(t, 2, cfg, apps.Options{Policy: ssp.BSP(), Seed: 1, Epochs: 2, Data: []string{planted(t, 300, 9)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, tested := result["test_logloss"]; tested || result["loss"] == "" || result["loss"] != result["train_logloss"] {
		t.Errorf("result %v", result)
	}
}

// TestMoreWorkersThanRows: ranks without rows take part in everything.
func TestMoreWorkersThanRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("1 1:1\n-1 2:1\n+1 1:2 3:1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, update := range []string{"", "add"} {
		for _, policy := range []ssp.Policy{ssp.BSP(), ssp.ESSP(1), ssp.Async()} {
			cfg := defaults()
			cfg.split, cfg.test, cfg.update, cfg.l1, cfg.rate, cfg.decay = 0, path, update, 1e-6, 0.5, 1
			cfg.predict = filepath.Join(t.TempDir(), "p")
			result, err := train(t, 8, cfg, apps.Options{Policy: policy, Seed: 1, Epochs: 20, ClocksPerEpoch: 5, Data: []string{path}})
			if err != nil {
				t.Fatal(err)
			}
			if number(t, result, "test_acc") != 1 || number(t, result, "test_auc") != 1 || number(t, result, "clocks") != 100 {
				t.Errorf("%q under %v: %v", update, policy, result)
			}
		}
	}
}

// TestOneClassHasNoAUC, and rows out of order are one warning.
func TestOneClassHasNoAUC(t *testing.T) {
	test := filepath.Join(t.TempDir(), "test")
	if err := os.WriteFile(test, []byte("1 5:1 3:1\n1 1:1\n1 9:1 2:1 4:1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.split, cfg.test = 0, test
	o := apps.Options{Policy: ssp.BSP(), Workers: 1, Seed: 1, Epochs: 1, Data: []string{planted(t, 200, 9)}, Target: math.NaN()}
	if err := cfg.check(&o); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	err := runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
		own := cfg
		return own.run(ctx, apps.NewJob("linear", o, c, &out, &log))
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "auc") || !strings.Contains(out.String(), "test_acc=") {
		t.Errorf("result %q", out.String())
	}
	if n := strings.Count(log.String(), "warning: 2 rows had columns that do not ascend"); n != 1 {
		t.Errorf("%d warnings in %q", n, log.String())
	}
}

func TestL1LeavesFewWeights(t *testing.T) {
	path := planted(t, 1000, 9)
	last := int64(1 << 30)
	for _, l1 := range []float64{0, 0.02, 0.05} {
		n := int64(0)
		for _, x := range []struct {
			ranks, workers int
			update         string
			policy         ssp.Policy
		}{{1, 1, "add", ssp.BSP()}, {1, 1, "", ssp.BSP()}, {3, 1, "adagrad:0.1", ssp.BSP()}, {2, 2, "", ssp.BSP()}} {
			cfg := defaults()
			cfg.update, cfg.l1 = x.update, l1
			result, err := train(t, x.ranks, cfg, apps.Options{Policy: x.policy, Workers: x.workers, Seed: 1, Epochs: 10, Data: []string{path}})
			if err != nil {
				t.Fatal(err)
			}
			left := int64(number(t, result, "nonzero_weights"))
			if left >= last || left < 1 {
				t.Errorf("%d × %d, -update %q: -l1 %g leaves %d weights, a smaller one %d", x.ranks, x.workers, x.update, l1, left, last)
			}
			n = max(n, left)
		}
		last = n
	}
	cfg := defaults()
	cfg.update = "ftrl:0.1,1,400,0"
	result, err := train(t, 3, cfg, apps.Options{Policy: ssp.BSP(), Seed: 1, Epochs: 10, Data: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	if n := number(t, result, "nonzero_weights"); n > 40 || n < 1 {
		t.Errorf("ftrl with l1 leaves %g weights", n)
	}
}

func TestBadInputIsOneLine(t *testing.T) {
	good, dir := planted(t, 500, 9), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		text   string
		change func(*config)
		want   string
	}{
		{string(text) + "1 5:x\n", nil, "bad:501: expected"},
		{string(text) + "2 5:1\n", nil, "bad:501: expected a label of 0, 1, -1 or +1, or -positive"},
		{string(text) + "0 5:1\n", nil, "bad: expected labels 0 and 1, or -1 and +1"},
		{"# nothing\n", nil, "bad: expected rows"},
		{"1 1:1\n1 2:1\n1 1:3\n", nil, "bad: expected rows of both classes"},
		{string(text), func(c *config) { c.positive = "7" }, "bad: expected rows of both classes"},
		{string(text), func(c *config) { c.split, c.test = 0, file("empty", "") }, "empty: expected rows to test on"},
		{string(text), func(c *config) { c.split, c.test = 0, file("test", "1 1:1\n1 :2\n") }, "test:2: expected"},
		{string(text) + "1 5:0.5\n", func(c *config) { c.features = "tfidf" }, "bad:501: expected"},
		{string(text) + "1 0:1\n", func(c *config) { c.liblinear = filepath.Join(dir, "l") }, "without column 0"},
		{string(text), func(c *config) { c.predict = filepath.Join(dir, "absent", "p") }, "can not be written"},
		{string(text), func(c *config) { c.split, c.test = 0, filepath.Join(dir, "absent") }, "no such file"},
	} {
		for _, ranks := range []int{1, 3} {
			cfg := defaults()
			if x.change != nil {
				x.change(&cfg)
			}
			_, err := train(t, ranks, cfg, apps.Options{Policy: ssp.BSP(), Epochs: 1, Seed: 1, Data: []string{file("bad", x.text)}})
			if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d ranks: error %v, want one line that says %q", ranks, err, x.want)
			}
		}
	}
}

func TestDivergenceIsAnError(t *testing.T) {
	cfg := defaults()
	cfg.update = "sgd:1e20"
	_, err := train(t, 2, cfg, apps.Options{Policy: ssp.BSP(), Seed: 1, Epochs: 50, Data: []string{planted(t, 300, 9)}})
	if err == nil || !strings.Contains(err.Error(), "diverged in pass") {
		t.Errorf("error %v, want one that says that the run diverged", err)
	}
}

func TestFlags(t *testing.T) {
	for name, change := range map[string]func(*config, *apps.Options){
		"-data":                         func(_ *config, o *apps.Options) { o.Data = nil },
		"-split":                        func(c *config, _ *apps.Options) { c.split = 1 },
		"-split and -test":              func(c *config, _ *apps.Options) { c.test = "x" },
		"-features":                     func(c *config, _ *apps.Options) { c.features = "log" },
		"-hash":                         func(c *config, _ *apps.Options) { c.hash = 29 },
		"-bias":                         func(c *config, _ *apps.Options) { c.bias = -1 },
		"-l1":                           func(c *config, _ *apps.Options) { c.l1 = -1 },
		"-l1 with -update sgd":          func(c *config, _ *apps.Options) { c.l1, c.update = 1, "sgd:1" },
		"-l1 with -update adagrad:1,sq": func(c *config, _ *apps.Options) { c.l1, c.update = 1, "adagrad:1,sqrt" },
		"-l2":                           func(c *config, _ *apps.Options) { c.l2 = math.NaN() },
		"update":                        func(c *config, _ *apps.Options) { c.update = "best" },
		"-rate":                         func(c *config, _ *apps.Options) { c.rate = 0 },
		"-decay":                        func(c *config, _ *apps.Options) { c.decay = 1.5 },
		"-width":                        func(c *config, _ *apps.Options) { c.width = -1 },
		"-evaluate":                     func(c *config, _ *apps.Options) { c.evaluate = 0 },
		"-predict":                      func(c *config, _ *apps.Options) { c.split, c.predict = 0, "p" },
		"-positive":                     func(c *config, _ *apps.Options) { c.positive = "1,,2" },
	} {
		cfg, o := defaults(), apps.Options{Data: []string{"x"}}
		if err := cfg.check(&o); err != nil {
			t.Fatal(err)
		}
		change(&cfg, &o)
		if err := cfg.check(&o); err == nil || !strings.HasPrefix(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
