package ssp

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/linalg"
)

// Get sets dst to the row, as the policy lets it be seen. It waits until the
// slowest worker is near enough, and for the row when there is no copy at hand;
// once a row was read, it costs a copy until the next Clock.
func (v *View[T]) Get(ctx context.Context, row int64, dst []T) error {
	if s := v.index.Find(row); s >= 0 && v.stamp[s] == v.w.turn && len(dst) == v.quick {
		copy(dst, v.data.At(s))
		if b := v.behind[s]; uint32(b) < nearAges {
			v.w.totals.near[b]++
			return nil
		}
		v.count(row, s, Read)
		return nil
	}
	if err := v.check(row, len(dst)); err != nil {
		return err
	}
	s, err := v.fresh(ctx, row)
	if err != nil {
		return err
	}
	v.data.CopyTo(dst, s)
	v.count(row, s, Read)
	return nil
}

// GetMany sets dst, row after row, to the rows, which may repeat. Those that are
// not at hand travel together.
func (v *View[T]) GetMany(ctx context.Context, rows []int64, dst []T) error {
	width := v.t.spec.Width
	if len(dst) != len(rows)*width {
		return errors.Errorf("table %s: slice of %d elements for %d rows of %d", v.t.spec.Name, len(dst), len(rows), width)
	}
	if err := v.Fetch(ctx, rows...); err != nil {
		return err
	}
	for i, row := range rows {
		s := v.index.Find(row)
		v.data.CopyTo(dst[i*width:(i+1)*width], s)
		v.count(row, s, Read)
	}
	return nil
}

// Fetch brings copies of the rows, which may repeat, that will do until the next
// Clock: reads of the worker need not wait for them then. Those that are not at
// hand travel together, in the time of one where Get or Edit of each would take as
// many round trips. It waits; Prefetch, for the next clock, does not.
func (v *View[T]) Fetch(ctx context.Context, rows ...int64) error {
	v.slots = v.slots[:0]
	for _, row := range rows {
		if err := v.check(row, v.t.spec.Width); err != nil {
			for _, s := range v.slots {
				v.stamp[s] = 0
			}
			return err
		}
		if s := v.slot(row); v.stamp[s] != v.w.turn {
			v.stamp[s] = v.w.turn // once, when rows repeat
			v.slots = append(v.slots, int32(s))
		}
	}
	for _, s := range v.slots {
		v.stamp[s] = 0
	}
	return v.refresh(ctx, v.slots, v.bound)
}

// GetSparse returns the entries of the row that are not zero, in the memory of
// dst as far as it goes.
func (v *View[T]) GetSparse(ctx context.Context, row int64, dst linalg.Sparse[T]) (linalg.Sparse[T], error) {
	if err := v.check(row, v.t.spec.Width); err != nil {
		return dst, err
	}
	s, err := v.fresh(ctx, row)
	if err != nil {
		return dst, err
	}
	v.count(row, s, Read)
	dst = dst.Reset()
	if !v.t.spec.Sparse {
		return linalg.GatherTo(dst, v.data.At(s)[:v.t.spec.Width]), nil
	}
	col, val := v.data.Entries(s)
	dst.Col, dst.Val = append(dst.Col, col...), append(dst.Val, val...)
	return dst, nil
}

// GetWithin is Get with a bound of its own: a copy of age at least Now()−slack
// will do, be that tighter or looser than the policy. It returns the age of the
// copy: all updates made before that clock are in it. A slack below the clocks for
// which a filter of the table keeps updates back is an error.
func (v *View[T]) GetWithin(ctx context.Context, row int64, dst []T, slack Clock) (Clock, error) {
	if err := v.check(row, len(dst)); err != nil {
		return 0, err
	}
	if slack < 0 {
		return 0, errors.Errorf("table %s: slack %d", v.t.spec.Name, slack)
	}
	if kept := v.t.hold + v.t.lag; slack < kept {
		return 0, errors.Errorf("table %s: slack %d: %s keeps updates back for %d clocks", v.t.spec.Name, slack, v.t.keeper(), kept)
	}
	wanted := v.oldest(slack)
	if v.t.plain { // own updates stay in the log for as long as looser copies need them
		if !v.t.drops {
			v.kept = max(v.kept, min(slack, maxKept))
		}
		wanted = max(wanted, Clock(v.log.Kept()))
	}
	s := v.slot(row)
	if v.stamp[s] != v.w.turn || Clock(v.age[s]) < wanted {
		v.one[0] = int32(s)
		if wanted > v.t.s.syncAt {
			wanted += v.t.hold
		}
		if err := v.refresh(ctx, v.one[:], wanted); err != nil {
			return 0, err
		}
	}
	v.data.CopyTo(dst, s)
	v.count(row, s, Read)
	return Clock(v.age[s]), nil
}

// maxKept bounds the clocks for which GetWithin keeps sent updates.
const maxKept = 1 << 10

// fresh returns the slot of a row that may be read.
func (v *View[T]) fresh(ctx context.Context, row int64) (int, error) {
	s := v.slot(row)
	if v.stamp[s] == v.w.turn {
		return s, nil
	}
	v.one[0] = int32(s)
	return s, v.refresh(ctx, v.one[:], v.bound)
}

// count counts a read.
func (v *View[T]) count(row int64, s int, kind AccessKind) {
	v.w.totals.read(Clock(v.behind[s]))
	if v.w.s.cfg.Access != nil {
		v.tell(row, s, kind)
	}
}

func (v *View[T]) tell(row int64, s int, kind AccessKind) {
	a := Access{Worker: v.w.index, Clock: v.w.clock, Table: v.t.spec.Name, Row: row, Kind: kind, Age: Clock(v.age[s])}
	if kind == Increment {
		a.Age = 0
	}
	v.w.s.cfg.Access(a)
}
