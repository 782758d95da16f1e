package ssp_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	pkgerrors "github.com/pkg/errors"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
	"github.com/sspurn/sspurn/ssp/internal/rule"
)

// bold is a rule of the user: the rate of a row grows while gradients keep their
// direction and is halved when they turn.
func bold(_ int64, x, state, g []float32) {
	for i := range x {
		rate, last := &state[i], &state[len(x)+i]
		if *rate == 0 {
			*rate = 0.1
		} else if *last*g[i] > 0 {
			*rate *= 1.1
		} else {
			*rate /= 2
		}
		*last = g[i]
		x[i] -= *rate * g[i]
	}
}

// ruled are updates with the internal rule that they name.
var ruled = []struct {
	update ssp.Update
	spec   rule.Spec
}{
	{ssp.Add().Clamp(-0.5, 0.5), rule.Spec{Clamped: true, Lo: -0.5, Hi: 0.5}},
	{ssp.SGD(0.1), rule.Spec{Kind: rule.SGD, Rate: 0.1}},
	{ssp.SGD(0.1).Sqrt(), rule.Spec{Kind: rule.SGD, Rate: 0.1, Schedule: rule.Sqrt}},
	{ssp.SGD(0.1).Inverse(0.5).Ball(1), rule.Spec{Kind: rule.SGD, Rate: 0.1, Schedule: rule.Inverse, Decay: 0.5, Radius: 1}},
	{ssp.Momentum(0.05, 0.9), rule.Spec{Kind: rule.Momentum, Rate: 0.05, Arg: [3]float64{0.9}}},
	{ssp.AdaGrad(0.1), rule.Spec{Kind: rule.AdaGrad, Rate: 0.1}},
	{ssp.Adam(0.01, 0.9, 0.999), rule.Spec{Kind: rule.Adam, Rate: 0.01, Arg: [3]float64{0.9, 0.999}}},
	{ssp.FTRL(0.1, 1, 0.01, 0.1), rule.Spec{Kind: rule.FTRL, Rate: 0.1, Arg: [3]float64{1, 0.01, 0.1}}},
	{ssp.AdaRevision(0.3), rule.Spec{Kind: rule.AdaRevision, Rate: 0.3}},
	{ssp.AdaRevision(0.3).Clamp(-1, 1), rule.Spec{Kind: rule.AdaRevision, Rate: 0.3, Clamped: true, Lo: -1, Hi: 1}},
	{ssp.UserDefined("bold", 2), rule.Spec{Kind: rule.User, Columns: 2}},
}

// descend is what a worker does in a clock: it reads some rows, and sends for
// some, read or not, gradients that depend on what it read.
func descend(self int, clock int64, get func(row int64) []float32, inc func(row int64, g []float32)) {
	rng := rand.New(rand.NewPCG(uint64(self)+1, uint64(clock)))
	g := make([]float32, floatWidth)
	for range 5 {
		a, b := rng.Int64N(floatRows), rng.Int64N(floatRows)
		x := get(a)
		for i := range g {
			g[i] = x[(i+1)%floatWidth]/2 + float32(rng.NormFloat64())/4
		}
		inc(a, g)
		if rng.IntN(3) == 0 {
			inc(b, g)
		}
	}
}

// sent is the gradient of a row, and the gradient sum of the copy behind it.
type sent struct{ g, old []float32 }

// descent runs the program one worker after the other: reads have the rows as
// they were at the start of the clock; gradients of a rank's workers are added
// up, those of the same gradient sum under AdaRevision; ranks follow in order.
func descent(spec rule.Spec, user rule.Func[float32], ranks, workers int, clocks int64) [][]float32 {
	r := rule.New(spec, floatWidth, user)
	revises := r.Head() > floatWidth
	rows := make([][]float32, floatRows)
	for i := range rows {
		rows[i] = make([]float32, r.Packed())
		initial(int64(i), rows[i][:floatWidth])
		r.Start(rows[i])
	}
	seen := make([]map[int64][]float32, ranks*workers) // by worker: gradient sums of its copies
	for self := range seen {
		seen[self] = map[int64][]float32{}
	}
	unknown := make([]float32, floatWidth)
	for i := range unknown {
		unknown[i] = float32(math.NaN())
	}
	for clock := range clocks {
		batches := make([]map[int64][]sent, ranks)
		for rank := range ranks {
			batches[rank] = map[int64][]sent{}
			for w := range workers {
				self := rank*workers + w
				own := map[int64]*sent{}
				descend(self, clock, func(row int64) []float32 {
					if revises {
						seen[self][row] = append([]float32(nil), rows[row][floatWidth:2*floatWidth]...)
					}
					return append([]float32(nil), rows[row][:floatWidth]...)
				}, func(row int64, g []float32) {
					s := own[row]
					if s == nil {
						s = &sent{g: make([]float32, floatWidth), old: seen[self][row]}
						if s.old == nil {
							s.old = unknown
						}
						own[row] = s
					}
					for i := range g {
						s.g[i] += g[i]
					}
				})
				for row, s := range own {
					merged := false
					for _, m := range batches[rank][row] {
						if !revises || fmt.Sprint(m.old) == fmt.Sprint(s.old) {
							for i := range m.g {
								m.g[i] += s.g[i]
							}
							merged = true
							break
						}
					}
					if !merged {
						batches[rank][row] = append(batches[rank][row], *s)
					}
				}
			}
		}
		for _, batch := range batches {
			for row, all := range batch {
				for _, s := range all {
					g := append([]float32(nil), s.g...)
					if revises {
						g = append(g, s.old...)
					}
					r.Step(row, rows[row], g)
				}
			}
		}
	}
	return rows
}

// TestRulesAreSequential: under BSP every rule comes out as in the sequential
// run, bit for bit, at any number of ranks and workers.
func TestRulesAreSequential(t *testing.T) {
	const clocks = 12
	for _, u := range ruled {
		var user func(row int64, x, state, g []float32)
		if u.spec.Kind == rule.User {
			user = bold
		}
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, workers := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v/ranks=%d/workers=%d", u.update, n, workers), func(t *testing.T) {
					want := descent(u.spec, user, n, workers, clocks)
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers})
						if err != nil {
							return err
						}
						table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{
							Name: "x", Rows: floatRows, Width: floatWidth, Init: initial, Update: u.update, Rule: user,
						})
						if err != nil {
							return err
						}
						err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) (failed error) {
							v := table.View(w)
							for clock := range int64(clocks) {
								descend(c.Rank()*workers+w.Index(), clock, func(row int64) []float32 {
									x := make([]float32, floatWidth)
									if err := v.Get(ctx, row, x); err != nil {
										failed = err
									}
									return x
								}, v.Inc)
								if failed != nil {
									return failed
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
						check := func(row int64, x []float32) error {
							if len(x) != floatWidth {
								return pkgerrors.Errorf("row of %d elements", len(x))
							}
							for i := range x {
								if math.Float32bits(x[i]) != math.Float32bits(want[row][i]) {
									return pkgerrors.Errorf("row %d: %v, want %v", row, x, want[row][:floatWidth])
								}
							}
							return nil
						}
						if err := table.Collect(ctx, 0, check); err != nil {
							return err
						}
						for row, x := range table.Owned() {
							if err := check(row, x); err != nil {
								return err
							}
						}
						return s.Close(ctx)
					})
				})
			}
		}
	}
}

// TestSparseRules: a sparse table does what a dense one does, where a step
// without a gradient changes nothing.
func TestSparseRules(t *testing.T) {
	const rows, width, clocks = 5, 40, 10
	for _, u := range []ssp.Update{
		ssp.SGD(0.1), ssp.SGD(0.1).Sqrt(), ssp.AdaGrad(0.1), ssp.AdaGrad(0.1).Sqrt().Clamp(-0.2, 0.1), ssp.FTRL(0.1, 1, 0.05, 0), ssp.Add().Clamp(0, 1),
	} {
		for _, p := range []ssp.Policy{ssp.BSP(), ssp.ESSP(2)} {
			for _, n := range []int{1, 2, 3, 5, 8} {
				t.Run(fmt.Sprintf("%v/%v/ranks=%d", u, p, n), func(t *testing.T) {
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
						if err != nil {
							return err
						}
						var tables [2]*ssp.Table[float64]
						for i := range tables {
							tables[i], err = ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{
								Name: fmt.Sprint(i), Rows: rows, Width: width, Sparse: i == 1, Update: u,
								Init: func(row int64, x []float64) { x[row] = 0.0625 },
							})
							if err != nil {
								return err
							}
						}
						err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							dense, sparse := tables[0].View(w), tables[1].View(w)
							rng := rand.New(rand.NewPCG(uint64(c.Rank()), 5))
							var x linalg.Sparse[float64]
							for range clocks {
								for row := range int64(rows) {
									var err error
									if x, err = sparse.GetSparse(ctx, row, x); err != nil {
										return err
									}
									if err := x.Check(width); err != nil {
										return err
									}
									var g linalg.Sparse[float64]
									for col := range int32(width) {
										if rng.IntN(8) == 0 || col == width-1 { // never none: a row counts its steps
											g.Col, g.Val = append(g.Col, col), append(g.Val, float64(rng.IntN(9)-4))
										}
									}
									dense.IncSparse(row, g)
									switch rng.IntN(3) {
									case 0:
										sparse.IncSparse(row, g)
									case 1:
										full := make([]float64, width)
										for i, col := range g.Col {
											full[col] = g.Val[i]
										}
										sparse.Inc(row, full)
									default:
										for i, col := range g.Col {
											sparse.IncAt(row, int(col), g.Val[i])
										}
									}
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
						want := map[int64][]float64{}
						for row, x := range tables[0].Owned() {
							want[row] = append([]float64(nil), x...)
						}
						moved := false
						for row, x := range tables[1].Owned() {
							for i := range x {
								if x[i] != want[row][i] {
									return pkgerrors.Errorf("row %d: %v, want %v", row, x, want[row])
								}
								moved = moved || x[i] != 0 && x[i] != 0.0625
							}
						}
						if c.Rank() == 0 && !moved {
							return errors.New("nothing has moved")
						}
						if err := tables[1].Collect(ctx, 0, func(int64, []float64) error { return nil }); err != nil {
							return err
						}
						return s.Close(ctx)
					})
				})
			}
		}
	}
}

// TestGradientsShowWhenApplied: a read has own gradients when its age says so,
// and never before.
func TestGradientsShowWhenApplied(t *testing.T) {
	const clocks = 20
	for _, p := range policies {
		for _, n := range []int{1, 2, 3, 5, 8} {
			t.Run(fmt.Sprintf("%v/ranks=%d", p, n), func(t *testing.T) {
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
					if err != nil {
						return err
					}
					// Each rank counts its clocks in a column of its own, downwards.
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: 9, Width: n, Update: ssp.SGD(1)})
					if err != nil {
						return err
					}
					err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						v, x := table.View(w), make([]float64, n)
						look := func(row int64, slack ssp.Clock) error {
							age, err := v.GetWithin(ctx, row, x, slack)
							if err != nil {
								return err
							}
							for r, got := range x {
								high := w.Now()
								if r != c.Rank() {
									high = math.MaxInt32
								}
								if ssp.Clock(-got) < age || ssp.Clock(-got) > high {
									return pkgerrors.Errorf("clock %d: a copy of age %d has %v gradients of rank %d", w.Now(), age, -got, r)
								}
							}
							if low := max(0, w.Now()-slack); age < low-low%p.Block() {
								return pkgerrors.Errorf("clock %d: age %d under a slack of %d", w.Now(), age, slack)
							}
							return nil
						}
						for k := range clocks {
							for row := range int64(9) {
								slack := ssp.Clock(2)
								if k%5 == 4 {
									slack = 0
								}
								if err := look(row, slack); err != nil {
									return err
								}
								v.IncAt(row, c.Rank(), 1)
								if err := v.Get(ctx, row, x); err != nil { // the running clock's never shows
									return err
								}
								if -x[c.Rank()] > float64(k) {
									return pkgerrors.Errorf("clock %d: %v own gradients", k, -x[c.Rank()])
								}
								if _, err := v.Edit(ctx, row); err == nil || !strings.Contains(err.Error(), "gradients") {
									return pkgerrors.Errorf("edit: %v", err)
								}
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
					for row, x := range table.Owned() {
						for r, got := range x {
							if got != -clocks {
								return pkgerrors.Errorf("row %d: %v gradients of rank %d", row, -got, r)
							}
						}
					}
					return s.Close(ctx)
				})
			})
		}
	}
}

// TestClampedCounts: a clamp works on integers, exactly, under every policy.
func TestClampedCounts(t *testing.T) {
	const clocks, limit = 15, 40
	for _, p := range policies {
		for _, n := range []int{1, 2, 3, 5, 8} {
			runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: 2})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: 6, Width: 3, Update: ssp.Add().Clamp(-3, limit)})
				if err != nil {
					return err
				}
				err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
					v, x := table.View(w), make([]int64, 3)
					for range clocks {
						for row := range int64(6) {
							if err := v.Get(ctx, row, x); err != nil {
								return err
							}
							if x[0] < 0 || x[0] > limit || x[1] > 0 || x[1] < -3 || x[2] != 0 {
								return pkgerrors.Errorf("row %d: %v", row, x)
							}
							v.Inc(row, []int64{1, -2, 0})
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
				want := int64(min(limit, 2*n*clocks))
				for row, x := range table.Owned() {
					if x[0] != want || x[1] != -3 || x[2] != 0 {
						return pkgerrors.Errorf("%v, %d ranks: row %d: %v, want %d, -3, 0", p, n, row, x, want)
					}
				}
				return s.Close(ctx)
			})
		}
	}
}

// TestRulesThatDoNotFit: tables and rules that exclude each other.
func TestRulesThatDoNotFit(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{})
		if err != nil {
			return err
		}
		step := func(int64, []float32, []float32, []float32) {}
		for i, x := range []struct {
			spec ssp.TableSpec[float32]
			want string
		}{
			{ssp.TableSpec[float32]{Update: ssp.AdaRevision(1), Sparse: true}, "dense"},
			{ssp.TableSpec[float32]{Update: ssp.UserDefined("u", 0), Sparse: true, Rule: step}, "dense"},
			{ssp.TableSpec[float32]{Update: ssp.SGD(1).Ball(1), Sparse: true}, "dense"},
			{ssp.TableSpec[float32]{Update: ssp.UserDefined("u", 0)}, "function Rule"},
			{ssp.TableSpec[float32]{Update: ssp.SGD(1), Rule: step}, "function Rule"},
			{ssp.TableSpec[float32]{Rule: step}, "function Rule"},
			{ssp.TableSpec[float32]{Update: ssp.AdaRevision(1), Width: 1 << 27}, "width"},
		} {
			x.spec.Name, x.spec.Rows = "x", 1
			if x.spec.Width == 0 {
				x.spec.Width = 2
			}
			if _, err := ssp.CreateTable(ctx, s, x.spec); err == nil || !strings.Contains(err.Error(), x.want) {
				return pkgerrors.Errorf("case %d: %v, want %q", i, err, x.want)
			}
		}
		for _, u := range []ssp.Update{
			ssp.SGD(1), ssp.Momentum(1, 0.5), ssp.AdaGrad(1), ssp.Adam(1, 0.9, 0.9), ssp.FTRL(1, 1, 1, 1), ssp.AdaRevision(1), ssp.Add().Ball(1),
			ssp.Add().Clamp(0.5, 1), ssp.Add().Clamp(0, 1<<60),
		} {
			if _, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 1, Width: 1, Update: u}); err == nil {
				return pkgerrors.Errorf("%v of integers", u)
			}
		}
		// A table of integers may have a rule of the user.
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{
			Name: "or", Rows: 3, Width: 1, Update: ssp.UserDefined("or", 0), Rule: func(_ int64, x, _, g []int32) { x[0] |= g[0] },
		})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			for row := range int64(3) {
				table.View(w).IncAt(row, 0, 5<<c.Rank())
			}
			return w.Clock(ctx)
		})
		if err != nil {
			return err
		}
		if err := s.Sync(ctx); err != nil {
			return err
		}
		for row, x := range table.Owned() {
			if x[0] != 15 {
				return pkgerrors.Errorf("row %d: %d", row, x[0])
			}
		}
		return s.Close(ctx)
	})
}

// TestRulesMustAgree: ranks that name different rules are told.
func TestRulesMustAgree(t *testing.T) {
	for i, x := range [][2]ssp.Update{
		{ssp.Add(), ssp.SGD(1)}, {ssp.SGD(1), ssp.SGD(2)}, {ssp.SGD(1), ssp.SGD(1).Sqrt()}, {ssp.Add(), ssp.Add().Clamp(0, 1)},
		{ssp.UserDefined("a", 1), ssp.UserDefined("b", 1)}, {ssp.UserDefined("a", 1), ssp.UserDefined("a", 2)},
	} {
		err := runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
			s, err := ssp.Open(ctx, c, ssp.Config{})
			if err != nil {
				return err
			}
			spec := ssp.TableSpec[float64]{Name: "x", Rows: 4, Width: 2, Update: x[min(c.Rank(), 1)]}
			if strings.HasPrefix(spec.Update.String(), "user") {
				spec.Rule = func(int64, []float64, []float64, []float64) {}
			}
			_, err = ssp.CreateTable(ctx, s, spec)
			if !errors.Is(err, ssp.ErrMismatch) {
				return pkgerrors.Errorf("rank %d: %v", c.Rank(), err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("case %d: %v", i, err)
		}
	}
}
