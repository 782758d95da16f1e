package main

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// dataset is what a rank knows of the rows: the shape of all of them, those
// that its workers train on, and its part of those to test on. Labels are 1
// and 0.
type dataset struct {
	columns int  // one more than the greatest column, the bias's not counted
	bias    bool // a row ends with a value in column columns

	trainRows, trainEntries int64 // of all ranks
	positive                int64 // training rows of all ranks with label 1
	testRows                int64
	zero                    bool    // the labels that are not 1 are 0, and none is -1
	square                  float64 // mean squared length of a training row

	train []*apps.Rows // by worker
	test  *apps.Rows   // with numbers among all rows that are tested on
	freq  []int32      // training rows that have each column, if it is needed
}

// weights returns the number of weights.
func (d *dataset) weights() int {
	if d.bias {
		return d.columns + 1
	}
	return d.columns
}

// load reads, transforms and divides the rows. It is collective.
func (cfg *config) load(ctx context.Context, job *apps.Job) (*dataset, error) {
	rows, test := &apps.Rows{}, &apps.Rows{}
	err := cfg.read(job, job.Data, rows)
	if err == nil && cfg.test != "" {
		err = cfg.read(job, []string{cfg.test}, test)
	}
	if err := job.Together(ctx, err); err != nil {
		return nil, err
	}
	for _, r := range []*apps.Rows{rows, test} {
		if err := r.Renumber(ctx, job.Comm); err != nil {
			return nil, err
		}
	}
	d := &dataset{bias: cfg.bias != 0}
	if err := cfg.survey(ctx, job, d, rows, test); err != nil {
		return nil, err
	}
	if cfg.features == "tfidf" {
		if err := tfidf(ctx, job.Comm, d.columns, rows, test); err != nil {
			return nil, err
		}
	}
	if cfg.split > 0 {
		rows, test = split(rows, cfg.split)
	}
	if d.train, err = deal(ctx, job.Comm, job.Seed, job.Workers, rows); err != nil {
		return nil, err
	}
	d.test = test
	if d.bias {
		for i, r := range d.train {
			d.train[i] = append1(r, int32(d.columns), float32(cfg.bias))
		}
		d.test = append1(test, int32(d.columns), float32(cfg.bias))
	}
	if err := d.count(ctx, job.Comm, cfg.l1 > 0 || cfg.l2 > 0); err != nil {
		return nil, err
	}
	return d, job.Together(ctx, cfg.enough(job, d))
}

// read reads this rank's share of the files. Labels become 1 and 0, but for -1,
// which survey looks for.
func (cfg *config) read(job *apps.Job, paths []string, r *apps.Rows) error {
	format := apps.LIBSVMFormat{Counts: cfg.features == "tfidf"}
	if cfg.classes == nil {
		format.Label = func(x float64) error {
			if x == 1 || x == 0 || x == -1 {
				return nil
			}
			return errors.Errorf("expected a label of 0, 1, -1 or +1, or -positive with the labels that count as 1, found %g", x)
		}
	}
	for _, path := range paths {
		if err := apps.ReadLIBSVM(path, apps.Part{Index: job.Comm.Rank(), Count: job.Comm.Size()}, format, r); err != nil {
			return err
		}
	}
	if cfg.classes != nil {
		for i, x := range r.Label {
			r.Label[i] = 0
			if slices.Contains(cfg.classes, x) {
				r.Label[i] = 1
			}
		}
	}
	if cfg.hash > 0 {
		hash(r, cfg.hash)
	}
	return nil
}

// hash replaces every column by one of 2^bits, numbered from 1, and adds up
// what comes together in a row (as Vowpal Wabbit does, without the signs of
// Weinberger et al.: Feature hashing for large scale multitask learning, ICML
// 2009, so that counts stay counts).
func hash(r *apps.Rows, bits int) {
	type entry struct {
		col int32
		val float32
	}
	var row []entry
	n := 0
	for i := range r.Label {
		col, val := r.Row(i)
		row = row[:0]
		for k, c := range col {
			row = append(row, entry{int32(1 + apps.Mix(uint64(c))>>(64-bits)), val[k]})
		}
		slices.SortFunc(row, func(a, b entry) int { return cmp.Or(cmp.Compare(a.col, b.col), cmp.Compare(a.val, b.val)) })
		r.Start[i] = n
		for k, e := range row {
			if k > 0 && e.col == row[k-1].col {
				r.Val[n-1] += e.val
				continue
			}
			r.Col[n], r.Val[n] = e.col, e.val
			n++
		}
	}
	if len(r.Start) > 0 {
		r.Start[len(r.Start)-1] = n
	}
	r.Col, r.Val = r.Col[:n], r.Val[:n]
}

// survey looks at labels and columns of all ranks. It is collective.
func (cfg *config) survey(ctx context.Context, job *apps.Job, d *dataset, rows, test *apps.Rows) error {
	top := []int64{-1, 0, 0, 0} // greatest column, a label of -1, one of 0, a column 0
	for _, r := range []*apps.Rows{rows, test} {
		for _, c := range r.Col {
			top[0] = max(top[0], int64(c))
			if c == 0 {
				top[3] = 1
			}
		}
		for i, x := range r.Label {
			switch x {
			case -1:
				top[1], r.Label[i] = 1, 0
			case 0:
				top[2] = 1
			}
		}
	}
	unsorted := rows.Unsorted + test.Unsorted
	if err := collectives.Allreduce(ctx, job.Comm, top, top, collectives.Max); err != nil {
		return err
	}
	unsorted, err := collectives.AllreduceValue(ctx, job.Comm, unsorted, collectives.Sum)
	if err != nil {
		return err
	}
	if unsorted > 0 {
		job.Logf("warning: %d rows had columns that do not ascend; they were sorted", unsorted)
	}
	if top[1] > 0 && top[2] > 0 && cfg.classes == nil {
		err = &apps.InputError{File: job.Data[0], Err: errors.New("expected labels 0 and 1, or -1 and +1, or -positive with the labels that count as 1; found both 0 and -1")}
	}
	if cfg.liblinear != "" && top[3] > 0 {
		err = &apps.InputError{File: cfg.liblinear, Err: errors.New("liblinear counts columns from 1: expected rows without column 0")}
	}
	d.zero = cfg.classes == nil && top[2] > 0
	d.columns = int(top[0] + 1)
	if cfg.hash > 0 {
		d.columns = 1<<cfg.hash + 1
	}
	return job.Together(ctx, err)
}

// tfidf sets the values, which are counts, to (1 + ln count) ln(N/df), with N
// and df of all rows of -data, and scales every row to a length of 1. It is
// collective.
func tfidf(ctx context.Context, c *runtime.Comm, columns int, rows, test *apps.Rows) error {
	df := make([]int32, columns)
	for _, col := range rows.Col {
		df[col]++
	}
	if err := collectives.Allreduce(ctx, c, df, df, collectives.Sum); err != nil {
		return err
	}
	n, err := collectives.AllreduceValue(ctx, c, int64(rows.Len()), collectives.Sum)
	if err != nil {
		return err
	}
	idf := make([]float64, columns)
	for j, k := range df {
		if k > 0 { // otherwise nothing is known of it
			idf[j] = math.Log(float64(n) / float64(k))
		}
	}
	for _, r := range []*apps.Rows{rows, test} {
		for i := range r.Label {
			col, val := r.Row(i)
			sum := 0.0
			for k, v := range val {
				x := (1 + math.Log(float64(v))) * idf[col[k]]
				val[k] = float32(x)
				sum += x * x
			}
			if sum > 0 {
				scale := float32(1 / math.Sqrt(sum))
				for k := range val {
					val[k] *= scale
				}
			}
		}
	}
	return nil
}

// split takes out the rows to test on: row n, counted from 1, when mix(n) mod
// every is 0.
func split(rows *apps.Rows, every int) (train, test *apps.Rows) {
	train, test = &apps.Rows{}, &apps.Rows{}
	for i, n := range rows.Number {
		to := train
		if apps.Mix(uint64(n+1))%uint64(every) == 0 {
			to = test
		}
		col, val := rows.Row(i)
		to.Append(n, rows.Label[i], col, val)
	}
	return train, test
}

// append1 returns the rows with one more value each, in a column behind all
// others.
func append1(r *apps.Rows, col int32, val float32) *apps.Rows {
	out := &apps.Rows{}
	for i, n := range r.Number {
		c, v := r.Row(i)
		out.Append(n, r.Label[i], c, v)
		out.Col, out.Val = append(out.Col, col), append(out.Val, val)
		out.Start[i+1]++
	}
	return out
}

// worker says who trains on a row: of every run of as many rows as there are
// workers each gets one, at random, so that all get as many and nobody gets
// only rows of one class, however the file is ordered.
func worker(seed uint64, n int64, workers int) int {
	turn := uint64(n) / uint64(workers)
	return int((uint64(n)%uint64(workers) + apps.Mix(apps.Mix(seed)^turn)) % uint64(workers))
}

// deal sends every row to its worker's rank and returns the rows of this rank's
// workers, each in a random order that seed and numbers decide, not ranks and
// files. It is collective.
func deal(ctx context.Context, c *runtime.Comm, seed uint64, workers int, rows *apps.Rows) ([]*apps.Rows, error) {
	out := make([][]uint32, c.Size())
	for i, n := range rows.Number {
		w := worker(seed, n, c.Size()*workers)
		col, val := rows.Row(i)
		words := append(out[w/workers], uint32(n), uint32(n>>32), uint32(rows.Label[i]), uint32(len(col)))
		for _, c := range col {
			words = append(words, uint32(c))
		}
		for _, v := range val {
			words = append(words, math.Float32bits(v))
		}
		out[w/workers] = words
	}
	in, err := apps.Exchange(ctx, c, out)
	if err != nil {
		return nil, err
	}
	type place struct {
		key   uint64
		n     int64
		words []uint32 // of the row, from its label
	}
	own := make([][]place, workers)
	for _, words := range in {
		for len(words) > 0 {
			n := int64(words[0]) | int64(words[1])<<32
			size := 4 + 2*int(words[3])
			w := worker(seed, n, c.Size()*workers) % workers
			own[w] = append(own[w], place{apps.Mix(apps.Mix(seed+1) ^ uint64(n)), n, words[2:size]})
			words = words[size:]
		}
	}
	shares := make([]*apps.Rows, workers)
	var col []int32
	var val []float32
	for w, places := range own {
		slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.n, b.n)) })
		shares[w] = &apps.Rows{}
		for _, p := range places {
			col, val = col[:0], val[:0]
			entries := p.words[2:]
			for _, c := range entries[:len(entries)/2] {
				col = append(col, int32(c))
			}
			for _, v := range entries[len(entries)/2:] {
				val = append(val, math.Float32frombits(v))
			}
			shares[w].Append(p.n, float64(p.words[0]), col, val)
		}
	}
	return shares, nil
}

// count counts over all ranks; it is collective.
func (d *dataset) count(ctx context.Context, c *runtime.Comm, freq bool) error {
	sums := []float64{0, 0, 0, float64(d.test.Len()), 0}
	for _, r := range d.train {
		sums[0] += float64(r.Len())
		sums[1] += float64(len(r.Col))
		for _, x := range r.Label {
			sums[2] += x
		}
		for _, v := range r.Val {
			sums[4] += float64(v) * float64(v)
		}
	}
	if err := collectives.Allreduce(ctx, c, sums, sums, collectives.Sum, collectives.InOrder); err != nil {
		return err
	}
	d.trainRows, d.trainEntries, d.positive, d.testRows = int64(sums[0]), int64(sums[1]), int64(sums[2]), int64(sums[3])
	d.square = sums[4] / max(1, sums[0])
	if !freq {
		return nil
	}
	d.freq = make([]int32, d.weights())
	for _, r := range d.train {
		for _, c := range r.Col {
			d.freq[c]++
		}
	}
	return collectives.Allreduce(ctx, c, d.freq, d.freq, collectives.Sum)
}

// enough reports why there is nothing to train or test on.
func (cfg *config) enough(job *apps.Job, d *dataset) error {
	switch {
	case d.trainRows == 0 || d.trainEntries == 0:
		return &apps.InputError{File: job.Data[0], Err: errors.New(`expected rows, "label column:value ..." a line, found none to train on`)}
	case d.positive == 0 || d.positive == d.trainRows:
		return &apps.InputError{File: job.Data[0], Err: errors.Errorf("expected rows of both classes, found %d of %d that count as 1", d.positive, d.trainRows)}
	case d.testRows == 0 && (cfg.test != "" || cfg.split > 0):
		file := cfg.test
		if file == "" {
			file = job.Data[0]
		}
		return &apps.InputError{File: file, Err: errors.New("expected rows to test on, found none")}
	}
	return nil
}
