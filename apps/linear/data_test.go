package main

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// loaded loads on ranks in this process and returns what each has.
func loaded(t *testing.T, ranks, workers int, cfg config, data []string) []*dataset {
	t.Helper()
	o := apps.Options{Policy: ssp.BSP(), Workers: workers, Seed: 3, Data: data, Target: math.NaN()}
	if err := cfg.check(&o); err != nil {
		t.Fatal(err)
	}
	out := make([]*dataset, ranks)
	err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) (err error) {
		own := cfg
		out[c.Rank()], err = own.load(ctx, apps.NewJob("linear", o, c, io.Discard, io.Discard))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rowsOf returns the rows of all workers and ranks by number.
func rowsOf(t *testing.T, all []*dataset, test bool) *apps.Rows {
	t.Helper()
	sum := &apps.Rows{}
	for _, d := range all {
		parts := d.train
		if test {
			parts = []*apps.Rows{d.test}
		}
		for _, r := range parts {
			for i := range r.Label {
				col, val := r.Row(i)
				sum.Append(r.Number[i], r.Label[i], col, val)
			}
		}
	}
	order := make([]int, sum.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(sum.Number[a] - sum.Number[b]) })
	sorted := &apps.Rows{}
	for _, i := range order {
		col, val := sum.Row(i)
		sorted.Append(sum.Number[i], sum.Label[i], col, val)
	}
	return sorted
}

// TestEveryRowOnce: ranks and workers share the same rows among them, as many
// each, of both classes, however the file is sorted.
func TestEveryRowOnce(t *testing.T) {
	path := planted(t, 1500, 9)
	for _, features := range []string{"raw", "tfidf"} {
		cfg := defaults()
		cfg.features = features
		whole := loaded(t, 1, 1, cfg, []string{path})
		train, test := rowsOf(t, whole, false), rowsOf(t, whole, true)
		if train.Len()+test.Len() != 1500 || test.Len() < 200 {
			t.Fatalf("%d and %d rows", train.Len(), test.Len())
		}
		for _, x := range []struct{ ranks, workers int }{{2, 1}, {3, 2}, {5, 1}, {8, 1}} {
			all := loaded(t, x.ranks, x.workers, cfg, []string{path})
			if got := rowsOf(t, all, false); !reflect.DeepEqual(got, train) {
				t.Errorf("%s, %d × %d: other rows to train on", features, x.ranks, x.workers)
			}
			if got := rowsOf(t, all, true); !reflect.DeepEqual(got, test) {
				t.Errorf("%s, %d × %d: other rows to test on", features, x.ranks, x.workers)
			}
			for rank, d := range all {
				if d.trainRows != int64(train.Len()) || d.testRows != int64(test.Len()) || d.trainEntries != int64(len(train.Col)) || d.columns != 61 {
					t.Errorf("rank %d counts %+v", rank, d)
				}
				for w, r := range d.train {
					positive := 0.0
					for _, y := range r.Label {
						positive += y
					}
					mean := train.Len() / (x.ranks * x.workers)
					if share := positive / float64(r.Len()); r.Len() < mean*8/10 || r.Len() > mean*12/10 || math.Abs(share-float64(d.positive)/float64(d.trainRows)) > 0.1 {
						t.Errorf("%d × %d: worker %d of rank %d has %d rows, %g of them positive", x.ranks, x.workers, w, rank, r.Len(), positive)
					}
				}
				if !slices.Equal(d.freq, counts(train, 62)) {
					t.Errorf("rank %d: frequencies %v", rank, d.freq)
				}
			}
		}
	}
}

// TestTFIDF compares with the definition, row by row.
func TestTFIDF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("0 1:1 2:3\n1 2:1\n0 3:2 2:7\n1 1:2 3:1 4:5\n0\n1 2:4\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "test")
	if err := os.WriteFile(other, []byte("1 1:3 9:4\n0 2:1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	rows := []map[int32]float64{{1: 1, 2: 3}, {2: 1}, {3: 2, 2: 7}, {1: 2, 3: 1, 4: 5}, {}, {2: 4}}
	tests := []map[int32]float64{{1: 3, 9: 4}, {2: 1}}
	df := map[int32]float64{1: 2, 2: 4, 3: 2, 4: 1}
	for _, ranks := range []int{1, 3} {
		cfg := defaults()
		cfg.features, cfg.split, cfg.test, cfg.bias = "tfidf", 0, other, 0
		all := loaded(t, ranks, 1, cfg, []string{path})
		for k, want := range [][]map[int32]float64{rows, tests} {
			got := rowsOf(t, all, k == 1)
			for i, counts := range want {
				x, sum := map[int32]float64{}, 0.0
				for j, n := range counts {
					if df[j] > 0 {
						x[j] = (1 + math.Log(n)) * math.Log(6/df[j])
						sum += x[j] * x[j]
					}
				}
				col, val := got.Row(i)
				for e, j := range col {
					if math.Abs(float64(val[e])-x[j]/math.Sqrt(sum)) > 1e-6 {
						t.Errorf("%d ranks, row %d, column %d: %g, want %g", ranks, i, j, val[e], x[j]/math.Sqrt(sum))
					}
				}
			}
		}
	}
}

// TestHash: columns go to buckets that their numbers decide, and values that
// come together are added.
func TestHash(t *testing.T) {
	const bits = 3
	r := random(200, 1000, 12, 5)
	want := make([]map[int32]float64, r.Len())
	for i := range want {
		want[i] = map[int32]float64{}
		col, val := r.Row(i)
		for k, c := range col {
			want[i][1+int32(apps.Mix(uint64(c))>>61)] += float64(val[k])
		}
	}
	hash(r, bits)
	used := map[int32]bool{}
	for i := range want {
		col, val := r.Row(i)
		if len(col) != len(want[i]) || !slices.IsSorted(col) {
			t.Fatalf("row %d: columns %v, want %v", i, col, want[i])
		}
		for k, c := range col {
			used[c] = true
			if math.Abs(float64(val[k])-want[i][c]) > 1e-5 || c < 1 || c > 1<<bits {
				t.Errorf("row %d, column %d: %g, want %g", i, c, val[k], want[i][c])
			}
		}
	}
	if len(used) != 1<<bits {
		t.Errorf("buckets %v", used)
	}
	hash(&apps.Rows{}, bits)
}

func TestHashedRunLearns(t *testing.T) {
	cfg := defaults()
	cfg.hash = 12
	result, err := train(t, 2, cfg, apps.Options{Policy: ssp.SSP(1), Seed: 1, Epochs: 10, Data: []string{planted(t, 2000, 9)}})
	if err != nil {
		t.Fatal(err)
	}
	if acc := number(t, result, "test_acc"); acc < 0.8 {
		t.Errorf("accuracy %g", acc)
	}
}

func TestPositiveNamesLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("1 1:1\n2.5 1:2\n-3 1:3\n7 1:4\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.split, cfg.positive = 0, "-3, 2.5"
	if got := rowsOf(t, loaded(t, 2, 1, cfg, []string{path}), false).Label; !slices.Equal(got, []float64{0, 1, 1, 0}) {
		t.Errorf("labels %v", got)
	}
}
