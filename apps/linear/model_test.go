package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

// readModel reads a model file; the bias is weight 61.
func readModel(t testing.TB, path string) map[int]float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	weights := map[int]float64{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, value, _ := strings.Cut(line, " ")
		j, err := strconv.Atoi(name)
		if name == "bias" {
			j, err = 61, nil
		}
		if err != nil {
			t.Fatalf("line %q", line)
		}
		bits := 32
		if name == "bias" {
			bits = 64
		}
		if weights[j], err = strconv.ParseFloat(value, bits); err != nil {
			t.Fatalf("line %q", line)
		}
	}
	return weights
}

// TestFilesAgree: the weights, liblinear's model and the predictions are those
// of one model, and the predictions come in the order of the rows.
func TestFilesAgree(t *testing.T) {
	data, test, dir := planted(t, 1000, 9), planted(t, 203, 77), t.TempDir()
	cfg := defaults()
	cfg.split, cfg.test, cfg.bias = 0, test, 2
	cfg.predict, cfg.liblinear = filepath.Join(dir, "p"), filepath.Join(dir, "liblinear")
	o := apps.Options{Policy: ssp.ESSP(2), Seed: 1, Epochs: 5, Data: []string{data}, Out: filepath.Join(dir, "model")}
	result, err := train(t, 3, cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	weights := readModel(t, o.Out)
	text, err := os.ReadFile(cfg.liblinear)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	head := []string{"solver_type L2R_LR", "nr_class 2", "label 1 -1", "nr_feature 60", "bias 2", "w"}
	if len(lines) != len(head)+61 || !slices.Equal(lines[:len(head)], head) {
		t.Fatalf("liblinear's model has %d lines and begins with %q", len(lines), lines[:len(head)])
	}
	for j, line := range lines[len(head):] {
		w, err := strconv.ParseFloat(strings.TrimSuffix(line, " "), 32)
		if j == 60 {
			w *= 2
		}
		if err != nil || w != weights[j+1] {
			t.Errorf("weight %d is %g in the model, %q for liblinear", j+1, weights[j+1], line)
		}
	}
	predicted, err := os.ReadFile(cfg.predict)
	if err != nil {
		t.Fatal(err)
	}
	var rows apps.Rows
	if err := apps.ReadLIBSVM(test, apps.Part{}, apps.LIBSVMFormat{}, &rows); err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(strings.TrimSuffix(string(predicted), "\n"), "\n")
	if len(lines) != rows.Len() {
		t.Fatalf("%d predictions of %d rows", len(lines), rows.Len())
	}
	loss := 0.0
	var score []float64
	for i, line := range lines {
		p, err := strconv.ParseFloat(line, 64)
		z := weights[61]
		col, val := rows.Row(i)
		for k, c := range col {
			z += weights[int(c)] * float64(val[k])
		}
		if err != nil || math.Abs(p-probability(z)) > 1e-8 {
			t.Fatalf("row %d: prediction %q, want %g", i, line, probability(z))
		}
		loss += logloss(z, rows.Label[i] > 0) / float64(rows.Len())
		score = append(score, z)
	}
	if got := number(t, result, "test_logloss"); math.Abs(got-loss) > 1e-5*loss {
		t.Errorf("test logloss %g, of the file %g", got, loss)
	}
	auc := pairs(score, func(i int) bool { return rows.Label[i] > 0 })
	if got := number(t, result, "test_auc"); math.Abs(got-auc) > 1e-5 {
		t.Errorf("AUC %g, of the file %g", got, auc)
	}
}
