package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

// TestOneRankIsTheReference: a run on one rank is the textbook's loop over the
// rows in the order that the shuffles give.
func TestOneRankIsTheReference(t *testing.T) {
	path := planted(t, 600, 9)
	const epochs, batches = 4, 13
	for _, x := range []struct {
		update string
		l1     float64
	}{{"add", 1e-3}, {"sgd:0.02", 0}, {"adagrad:0.2", 0}, {"adagrad:0.2", 1e-3}} {
		update, cfg := x.update, defaults()
		cfg.update, cfg.l1 = update, x.l1
		out := filepath.Join(t.TempDir(), "model")
		o := apps.Options{Policy: ssp.BSP(), Workers: 1, Seed: 5, Epochs: epochs, ClocksPerEpoch: batches, Data: []string{path}, Out: out}
		result, err := train(t, 1, cfg, o)
		if err != nil {
			t.Fatal(err)
		}

		// The rows, read and split without the app's code.
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		type row struct {
			y   float64
			x   map[int]float64
			key uint64
		}
		var rows, test []row
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			words := strings.Fields(line)
			r := row{x: map[int]float64{61: 1}, key: apps.Mix(apps.Mix(5+1) ^ uint64(i))}
			if words[0] == "+1" {
				r.y = 1
			}
			for _, w := range words[1:] {
				var j, n int
				if _, err := fmt.Sscanf(w, "%d:%d", &j, &n); err != nil {
					t.Fatal(err)
				}
				r.x[j] = float64(n)
			}
			if apps.Mix(uint64(i+1))%5 == 0 {
				test = append(test, r)
			} else {
				rows = append(rows, r)
			}
		}
		slices.SortFunc(rows, func(a, b row) int {
			if a.key < b.key {
				return -1
			}
			return 1
		})
		freq := map[int]float64{}
		for _, r := range rows {
			for j := range r.x {
				freq[j]++
			}
		}
		gradients := map[int]float64{} // that a pass has for each column
		for b := range batches {
			touched := map[int]bool{}
			for _, r := range rows[len(rows)*b/batches : len(rows)*(b+1)/batches] {
				for j := range r.x {
					touched[j] = true
				}
			}
			for j := range touched {
				gradients[j]++
			}
		}
		w, sum := map[int]float64{}, map[int]float64{}
		at := func(r row) float64 {
			z := 0.0
			for j, x := range r.x {
				z += w[j] * x
			}
			return z
		}
		order := make([]int32, batches)
		for pass := range epochs {
			shuffle(order, 5, 0, pass)
			rate := 0.05 * math.Pow(0.9, float64(pass))
			for _, b := range order {
				batch := rows[len(rows)*int(b)/batches : len(rows)*int(b+1)/batches]
				g, touched := map[int]float64{}, map[int]float64{}
				for _, r := range batch {
					e := probability(at(r)) - r.y
					for j, x := range r.x {
						touched[j] += float64(len(rows)) / freq[j]
						g[j] += e * x
						if update == "add" {
							w[j] -= rate * e * x
						}
					}
				}
				for j, n := range touched {
					if update == "add" {
						step := rate * n
						w[j] = math.Copysign(max(0, math.Abs(w[j])-step*cfg.l1), w[j]) / (1 + step*cfg.l2)
						continue
					}
					g[j] += cfg.l2 * n * w[j]
					if update == "sgd:0.02" {
						w[j] -= 0.02 * g[j]
					} else if g[j] != 0 {
						sum[j] += g[j] * g[j]
						step := 0.2 / (math.Sqrt(sum[j]) + 1e-8)
						w[j] -= step * g[j]
						w[j] = math.Copysign(max(0, math.Abs(w[j])-step*cfg.l1*float64(len(rows))/gradients[j]), w[j])
					}
				}
			}
		}
		loss, right := 0.0, 0.0
		for _, r := range test {
			z := at(r)
			loss += math.Log1p(math.Exp(-z * (2*r.y - 1)))
			if (z > 0) == (r.y > 0) {
				right++
			}
		}
		loss, right = loss/float64(len(test)), right/float64(len(test))
		if got := number(t, result, "test_logloss"); math.Abs(got-loss) > 2e-5*loss {
			t.Errorf("%s: test logloss %g, want %g", update, got, loss)
		}
		if got := number(t, result, "test_acc"); math.Abs(got-right) > 1e-5 {
			t.Errorf("%s: accuracy %g, want %g", update, got, right)
		}
		weights := readModel(t, out)
		for j := 1; j <= 61; j++ {
			if got := weights[j]; math.Abs(got-w[j]) > 1e-4 {
				t.Errorf("%s: weight %d is %g, want %g", update, j, got, w[j])
			}
		}
	}
}
