package ssp_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

func mustFilter(t testing.TB, text string) ssp.Filter {
	t.Helper()
	f, err := ssp.ParseFilter(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFilterRule: the rule of every policy and the sums of integers hold under
// filters that make updates wait.
func TestFilterRule(t *testing.T) {
	for _, text := range []string{"threshold:3", "threshold:1e9", "topk:0.2+hold:1", "topk:4+threshold:2", "keys", "threshold:1+keys"} {
		filter := mustFilter(t, text)
		for _, p := range append(slices.Clone(filterable), ssp.SSP(5)) {
			for _, n := range []int{1, 2, 3, 5, 8} {
				if n != 3 && p != ssp.SSP(3) && p != ssp.Async() {
					continue
				}
				for _, workers := range []int{1, 2} {
					if workers > 1 && n != 2 && n != 3 {
						continue
					}
					t.Run(fmt.Sprintf("%s/%v/ranks=%d/workers=%d", text, p, n, workers), func(t *testing.T) {
						runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
							cfg := ssp.Config{Workers: workers, Policy: p, Filter: filter}
							return countClocksThen(ctx, c, cfg, n%2 == 1, func(s *ssp.Store) {
								_, bounded := p.Staleness()
								if st := s.Stats(); n > 1 && (p == ssp.SSP(3) || !bounded) && strings.HasSuffix(text, "3") && st.Held == 0 {
									t.Errorf("rank %d: nothing was held: %+v", c.Rank(), st.Bytes)
								}
							})
						})
					})
				}
			}
		}
	}
}

// TestFilterAge: a copy has what its age says, whatever waits: each rank counts
// its clocks, and all of its updates are below the threshold.
func TestFilterAge(t *testing.T) {
	const clocks, n = 20, 3
	for _, p := range []ssp.Policy{ssp.SSP(1), ssp.SSP(4), ssp.ESSP(3), ssp.Async()} {
		for _, text := range []string{"threshold:1e6", "threshold:1e6+hold:1", "topk:1"} {
			t.Run(fmt.Sprintf("%v/%s", p, text), func(t *testing.T) {
				filter := mustFilter(t, text)
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					age := ssp.Clock(-1)
					s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Access: func(a ssp.Access) {
						if a.Kind == ssp.Read {
							age = a.Age
						}
					}})
					if err != nil {
						return err
					}
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 6, Width: n, Filter: filter})
					if err != nil {
						return err
					}
					for range 2 {
						err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							v, x := table.View(w), make([]int32, n)
							for range clocks {
								for row := range int64(6) {
									if err := v.Get(ctx, row, x); err != nil {
										return err
									}
									for r, got := range x {
										if ssp.Clock(got) < age || r == c.Rank() && ssp.Clock(got) != w.Now() {
											return errors.Errorf("clock %d: row %d of age %d holds %d of rank %d", w.Now(), row, age, got, r)
										}
									}
									if bound, ok := p.Staleness(); ok && age < w.Now()-bound {
										return errors.Errorf("age %d at clock %d", age, w.Now())
									}
								}
								for row := range int64(6) {
									v.IncAt(row, c.Rank(), 1)
								}
								if err := w.Clock(ctx); err != nil {
									return err
								}
							}
							return nil
						})
						if err != nil {
							return err
						}
						if err := s.Sync(ctx); err != nil {
							return err
						}
					}
					return s.Close(ctx)
				})
			})
		}
	}
}

// TestFilterSums: sums of floats, dense and sparse, are those of all increments
// after Sync, at the owners and in what is read then.
func TestFilterSums(t *testing.T) {
	for _, text := range []string{"half", "byte", "byte+hold:1", "threshold:0.5+byte", "topk:0.3+half", "topk:2", "byte+keys"} {
		for _, p := range filterable {
			for _, n := range []int{1, 2, 3, 5, 8} {
				if n != 3 && p != ssp.SSP(3) && p != ssp.Async() {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/ranks=%d", text, p, n), func(t *testing.T) {
					filter := mustFilter(t, text)
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						if err := sumFloats[float32](ctx, c, p, filter, 1e-5); err != nil {
							return err
						}
						return sumFloats[float64](ctx, c, p, filter, 1e-13)
					})
				})
			}
		}
	}
}

func sumFloats[T float32 | float64](ctx context.Context, c *runtime.Comm, p ssp.Policy, filter ssp.Filter, tolerance float64) error {
	const rows, width, clocks, workers = 11, 9, 15, 2
	s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: workers, Filter: filter})
	if err != nil {
		return err
	}
	var tables [2]*ssp.Table[T]
	for i := range tables {
		if tables[i], err = ssp.CreateTable(ctx, s, ssp.TableSpec[T]{Name: fmt.Sprint(i), Rows: rows, Width: width, Sparse: i == 1}); err != nil {
			return err
		}
	}
	made := func(worker int) func() (row int64, x []T) {
		rng := rand.New(rand.NewPCG(uint64(worker), 5))
		x := make([]T, width)
		return func() (int64, []T) {
			for i := range x {
				x[i] = 0
				if rng.IntN(3) > 0 {
					x[i] = T(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(4)-2)))
				}
			}
			return rng.Int64N(rows), x
		}
	}
	err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		next := made(c.Rank()*workers + w.Index())
		got := make([]T, width)
		for range clocks {
			for range 6 {
				row, x := next()
				for _, table := range tables {
					table.View(w).Inc(row, x)
				}
			}
			if err := w.Clock(ctx); err != nil {
				return err
			}
			row, _ := next()
			for _, table := range tables {
				if err := table.View(w).Get(ctx, row, got); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	var want, size [rows][width]float64
	for worker := range c.Size() * workers {
		next := made(worker)
		for range clocks {
			for range 6 {
				row, x := next()
				for col, d := range x {
					want[row][col] += float64(d)
					size[row][col] += math.Abs(float64(d))
				}
			}
			next()
		}
	}
	for _, table := range tables {
		for row, x := range table.Owned() {
			for col, got := range x {
				if e := math.Abs(float64(got) - want[row][col]); e > tolerance*(1+size[row][col]) {
					return errors.Errorf("row %d, column %d: %v, want %v", row, col, got, want[row][col])
				}
			}
		}
		// Copies are what the owners have.
		err := s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			x := make([]T, width)
			for row := range int64(rows) {
				if err := table.View(w).Get(ctx, row, x); err != nil {
					return err
				}
				for col, got := range x {
					if e := math.Abs(float64(got) - want[row][col]); e > tolerance*(1+size[row][col]) {
						return errors.Errorf("a copy of row %d, column %d: %v, want %v", row, col, got, want[row][col])
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.Sync(ctx); err != nil {
			return err
		}
	}
	return s.Close(ctx)
}

// TestFilterRefused: ranks that disagree, and integers that would be rounded.
func TestFilterRefused(t *testing.T) {
	half, byte := mustFilter(t, "half"), mustFilter(t, "byte+threshold:2")
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(2), Filter: byte})
		if err != nil {
			return err
		}
		_, err = ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "counts", Rows: 3, Width: 2, Filter: half})
		if err == nil || !strings.Contains(err.Error(), "integers are not rounded") {
			return errors.Errorf("integers in 16 bits: %v", err)
		}
		counts, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "counts", Rows: 3, Width: 2})
		if err != nil {
			return err
		}
		if got := counts.Filter().String(); got != "threshold:2" {
			return errors.Errorf("integers have the filter %s", got)
		}
		plain, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "plain", Rows: 3, Width: 2, Filter: mustFilter(t, "none")})
		if err != nil {
			return err
		}
		if got := plain.Filter().String(); got != "none" {
			return errors.Errorf("a table of its own has the filter %s", got)
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			x := make([]int64, 2)
			if _, err := counts.View(w).GetWithin(ctx, 0, x, 0); err == nil || !strings.Contains(err.Error(), "keeps updates back") {
				return errors.Errorf("a copy with nothing held back: %v", err)
			}
			age, err := counts.View(w).GetWithin(ctx, 0, x, 1)
			if err == nil && age < w.Now()-1 {
				return errors.Errorf("age %d", age)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := s.Sync(ctx); err != nil {
			return err
		}
		f := half
		if c.Rank() == 1 {
			f = byte
		}
		_, err = ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "floats", Rows: 3, Width: 2, Filter: f})
		if !stderrors.Is(err, ssp.ErrMismatch) {
			return errors.Errorf("two filters: %v", err)
		}
		return nil
	})
}

func TestParseFilter(t *testing.T) {
	for text, want := range map[string]string{
		"none": "none", "half": "half", "keys+byte+threshold:0.010": "threshold:0.01+byte+keys", "topk:7+hold:0": "topk:7+hold:0",
		"threshold:1e-3+topk:.5+half+hold:3": "threshold:0.001+topk:0.5+half+hold:3",
	} {
		if f, err := ssp.ParseFilter(text); err != nil || f.String() != want {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
	for _, text := range []string{
		"", "nine", "threshold", "threshold:0", "threshold:-1", "threshold:NaN", "threshold:Inf", "topk:0", "topk:1.5", "topk:1e30",
		"half+byte", "half:1", "hold:2", "byte+hold:-1", "byte+hold:9999999999", "none+half", "keys:1", "keys+hold:1", "topk:1+topk:2", "half+",
	} {
		if f, err := ssp.ParseFilter(text); err == nil {
			t.Errorf("%q: %v", text, f)
		}
	}
}

// FuzzParseFilter: what is read is written so that it is read again.
func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"none", "threshold:0.01+hold:2", "topk:0.1+half", "byte"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := ssp.ParseFilter(text)
		if err != nil {
			return
		}
		if again, err := ssp.ParseFilter(once.String()); err != nil || again != once {
			t.Fatalf("%q: %v, again %v, %v", text, once, again, err)
		}
	})
}

// filterable are policies under which updates may wait.
var filterable = []ssp.Policy{ssp.BSP(), ssp.SSP(1), ssp.SSP(3), ssp.ESSP(0), ssp.ESSP(2), ssp.CAP(2), ssp.Async()}

// TestFilterUnfit: where a filter would break what a policy or a rule promises,
// there is no table.
func TestFilterUnfit(t *testing.T) {
	for _, x := range []struct {
		policy ssp.Policy
		update ssp.Update
		filter string
		err    string
	}{
		{ssp.VAP(1), ssp.Add(), "half", "what is dropped"},
		{ssp.Backup(0), ssp.Add(), "byte", "what is dropped"},
		{ssp.Auto(3), ssp.Add(), "topk:1", "updates wait only"},
		{ssp.FSSP(3), ssp.Add(), "threshold:1", "updates wait only"},
		{ssp.ABSP(3), ssp.Add(), "threshold:1", "updates wait only"},
		{ssp.SSP(3), ssp.SGD(1), "threshold:1", "updates wait only"},
		{ssp.SSP(3), ssp.AdaRevision(1), "half", "as they are"},
		{ssp.SSP(3), ssp.SGD(1), "half", ""},
		{ssp.Auto(3), ssp.Add(), "half", ""},
		{ssp.VAP(1), ssp.Add(), "none", ""},
	} {
		f, err := ssp.ParseFilter(x.filter)
		if err != nil {
			t.Fatal(err)
		}
		runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
			s, err := ssp.Open(ctx, c, ssp.Config{Policy: x.policy})
			if err != nil {
				return err
			}
			_, err = ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: 1, Width: 1, Update: x.update, Filter: f})
			if (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
				t.Errorf("%v, %v, %s: %v; want %q", x.policy, x.update, x.filter, err, x.err)
			}
			return s.Close(ctx)
		})
	}
}
