package main

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

var windowSizes = []int{8, 1 << 10, 64 << 10, 1 << 20}

// windows are what rank 0 does to the memory of rank 1, which waits.
var windows = []benchmark{
	{
		name: "put", ranks: 2, sizes: windowSizes,
		text: "a put to rank 1 and a flush",
		start: func(ctx context.Context, e env) (*trial, error) {
			return e.window(ctx, 1, func(ctx context.Context, w *region) error {
				if err := w.Put(ctx, 1, 0, w.out); err != nil {
					return err
				}
				return w.Flush(ctx, 1)
			}, (*region).checkPut)
		},
	},
	{
		name: "get", ranks: 2, sizes: windowSizes,
		text: "a get from rank 1",
		start: func(ctx context.Context, e env) (*trial, error) {
			return e.window(ctx, 1, func(ctx context.Context, w *region) error { return w.Get(ctx, 1, 0, w.in) }, (*region).checkGet)
		},
	},
	{
		name: "puts", ranks: 2, sizes: windowSizes,
		text: "a put of 64 to rank 1 with one flush for all",
		start: func(ctx context.Context, e env) (*trial, error) {
			return e.window(ctx, window, func(ctx context.Context, w *region) error {
				for i := range window {
					if err := w.Put(ctx, 1, i*e.size, w.out[i*e.size:(i+1)*e.size]); err != nil {
						return err
					}
				}
				return w.Flush(ctx, 1)
			}, (*region).checkPut)
		},
	},
	{
		name: "puts-batch", ranks: 2, sizes: windowSizes,
		text: "puts, in a batch",
		start: func(ctx context.Context, e env) (*trial, error) {
			return e.window(ctx, window, func(ctx context.Context, w *region) error {
				for i := range window {
					if err := w.batch.Put(ctx, i*e.size, w.out[i*e.size:(i+1)*e.size]); err != nil {
						return err
					}
				}
				return w.batch.Flush(ctx)
			}, (*region).checkPut)
		},
	},
	{
		name: "gets", ranks: 2, sizes: windowSizes,
		text: "a get of 64 from rank 1, in a batch",
		start: func(ctx context.Context, e env) (*trial, error) {
			return e.window(ctx, window, func(ctx context.Context, w *region) error {
				for i := range window {
					if err := w.batch.Get(ctx, i*e.size, w.in[i*e.size:(i+1)*e.size]); err != nil {
						return err
					}
				}
				return w.batch.Flush(ctx)
			}, (*region).checkGet)
		},
	},
	{
		name: "accumulate", ranks: 2, unit: 8, sizes: windowSizes,
		text: "an addition of float64 to rank 1's and a flush",
		start: func(ctx context.Context, e env) (*trial, error) {
			ones := make([]float64, e.size/8)
			for i := range ones {
				ones[i] = 1
			}
			return counted(ctx, e, len(ones), func(ctx context.Context, w *runtime.Window[float64], _ int) error {
				if err := w.Accumulate(ctx, 1, 0, ones, runtime.Add); err != nil {
					return err
				}
				return w.Flush(ctx, 1)
			})
		},
	},
	{
		name: "fetch", ranks: 2, sizes: []int{8}, fixed: true,
		text: "an atomic addition of an int64 to rank 1's that returns what was there: fetch and op",
		start: func(ctx context.Context, e env) (*trial, error) {
			return counted(ctx, e, 1, func(ctx context.Context, w *runtime.Window[int64], before int) error {
				old, err := w.Fetch(ctx, 1, 0, 1, runtime.Add)
				if err == nil && old != int64(before) {
					err = errors.Errorf("wrong data: fetched %d after %d additions of 1", old, before)
				}
				return err
			})
		},
	},
	{
		name: "cas", ranks: 2, sizes: []int{8}, fixed: true,
		text: "a compare and swap of an int64 of rank 1",
		start: func(ctx context.Context, e env) (*trial, error) {
			return counted(ctx, e, 1, func(ctx context.Context, w *runtime.Window[int64], before int) error {
				old, err := w.CompareAndSwap(ctx, 1, 0, int64(before), int64(before)+1)
				if err == nil && old != int64(before) {
					err = errors.Errorf("wrong data: swapped %d, expected %d", old, before)
				}
				return err
			})
		},
	},
}

// region is a window of bytes with what goes in and out.
type region struct {
	*runtime.Window[uint8]
	batch   *runtime.Batch[uint8]
	out, in []byte
}

// window is a trial on a window of so many blocks. check runs on rank 0. It is
// collective.
func (e env) window(ctx context.Context, blocks int, once func(ctx context.Context, w *region) error, check func(w *region, ctx context.Context) error) (*trial, error) {
	w := &region{out: filled(blocks*e.size, 0), in: make([]byte, blocks*e.size)}
	var err error
	if w.Window, err = runtime.NewWindow[uint8](ctx, e.Comm, blocks*e.size); err != nil {
		return nil, err
	}
	w.batch = w.Batch(1)
	copy(w.Local(), filled(blocks*e.size, e.Rank()))
	if err := w.Fence(ctx); err != nil {
		return nil, err
	}
	t := &trial{per: blocks, flow: e.size, close: w.Close}
	if e.Rank() == 0 {
		t.once = func(ctx context.Context) error { return once(ctx, w) }
		t.check = func(ctx context.Context) error { return check(w, ctx) }
	}
	return t, nil
}

// checkPut reports whether rank 1 has what rank 0 puts.
func (w *region) checkPut(ctx context.Context) error {
	if err := w.Get(ctx, 1, 0, w.in); err != nil {
		return err
	}
	return checkBytes(w.in, 0)
}

// checkGet reports whether rank 0 has what was at rank 1.
func (w *region) checkGet(context.Context) error { return checkBytes(w.in, 1) }

// counted is a trial of adding 1 to elements of rank 1 that are zero at first;
// add knows how often that has happened. It is collective.
func counted[T int64 | float64](ctx context.Context, e env, n int, add func(ctx context.Context, w *runtime.Window[T], before int) error) (*trial, error) {
	w, err := runtime.NewWindow[T](ctx, e.Comm, n)
	if err != nil {
		return nil, err
	}
	t := &trial{flow: e.size, close: w.Close}
	if e.Rank() != 0 {
		return t, nil
	}
	times := 0
	t.once = func(ctx context.Context) error {
		times++
		return add(ctx, w, times-1)
	}
	t.check = func(ctx context.Context) error {
		found := make([]T, n)
		if err := w.Get(ctx, 1, 0, found); err != nil {
			return err
		}
		for i, got := range found {
			if times == 0 || got != T(times) {
				return errors.Errorf("wrong data: element %d is %v after %d additions of 1", i, got, times)
			}
		}
		return nil
	}
	return t, nil
}
