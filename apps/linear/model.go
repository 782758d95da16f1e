package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strconv"

	"github.com/sspurn/sspurn/apps"
)

// model is trained weights: of columns 0 to len(w)-1, and of the bias.
type model struct {
	w       []float32
	bias    float64 // value of the bias in a row; 0: none
	intern  float32 // its weight
	penalty string  // "l1" or "l2": which of liblinear's solvers it resembles
	zero    bool    // the negative label is 0, not -1
}

func (t *trainer) model() *model {
	m := &model{w: t.w[:t.data.columns], bias: t.cfg.bias, penalty: "l2"}
	if t.data.bias {
		m.intern = t.w[t.data.columns]
	}
	if t.cfg.l1 > 0 {
		m.penalty = "l1"
	}
	m.zero = t.data.zero
	return m
}

// write writes the weights that are not zero, "column weight" a line, and that
// of the bias as "bias weight".
func (m *model) write(w io.Writer) error {
	b := bufio.NewWriter(w)
	var line []byte
	for j, x := range m.w {
		if x == 0 {
			continue
		}
		line = strconv.AppendInt(line[:0], int64(j), 10)
		line = append(line, ' ')
		line = strconv.AppendFloat(line, float64(x), 'g', -1, 32)
		b.Write(append(line, '\n'))
	}
	if m.bias != 0 {
		// What is added to a score: weight times value.
		b.WriteString("bias " + strconv.FormatFloat(float64(m.intern)*m.bias, 'g', -1, 64) + "\n")
	}
	return b.Flush()
}

// writeLiblinear writes the model file of liblinear, which its predict reads.
func (m *model) writeLiblinear(w io.Writer) error {
	b := bufio.NewWriter(w)
	solver, negative, bias := "L2R_LR", "-1", -1.0
	if m.penalty == "l1" {
		solver = "L1R_LR"
	}
	if m.zero {
		negative = "0"
	}
	if m.bias != 0 {
		bias = m.bias
	}
	columns := max(len(m.w)-1, 0) // liblinear counts from 1
	b.WriteString("solver_type " + solver + "\nnr_class 2\nlabel 1 " + negative + "\nnr_feature " + strconv.Itoa(columns) +
		"\nbias " + strconv.FormatFloat(bias, 'g', -1, 64) + "\nw\n")
	weights := m.w[min(1, len(m.w)):]
	if m.bias != 0 {
		weights = append(slices.Clip(weights), m.intern)
	}
	var line []byte
	for _, x := range weights {
		line = strconv.AppendFloat(line[:0], float64(x), 'g', -1, 32)
		b.Write(append(line, ' ', '\n'))
	}
	return b.Flush()
}

// save writes the files that are wanted. It is collective.
func (t *trainer) save(ctx context.Context) error {
	if t.cfg.predict != "" {
		if err := t.savePredictions(ctx); err != nil {
			return err
		}
	}
	if t.job.Comm.Rank() != 0 {
		return nil
	}
	m := t.model()
	if t.job.Out != "" {
		if err := apps.WriteFile(t.job.Out, m.write); err != nil {
			return err
		}
	}
	if t.cfg.liblinear != "" {
		return apps.WriteFile(t.cfg.liblinear, m.writeLiblinear)
	}
	return nil
}

// savePredictions writes the probability of each row to test on, in their order.
func (t *trainer) savePredictions(ctx context.Context) error {
	c := t.job.Comm
	out := make([][]float64, c.Size())
	for i, z := range testScores(t.data.test, t.w) {
		out[0] = append(out[0], float64(t.data.test.Number[i]), probability(z)) // numbers are far below 2⁵³
	}
	in, err := apps.Exchange(ctx, c, out)
	if err != nil || c.Rank() != 0 {
		return err
	}
	type row struct{ number, p float64 }
	var rows []row
	for _, x := range in {
		for ; len(x) > 0; x = x[2:] {
			rows = append(rows, row{x[0], x[1]})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return int(a.number - b.number) })
	return apps.WriteFile(t.cfg.predict, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		var line []byte
		for _, r := range rows {
			line = strconv.AppendFloat(line[:0], r.p, 'g', 9, 64)
			b.Write(append(line, '\n'))
		}
		return b.Flush()
	})
}
