package ssp_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
	"github.com/sspurn/sspurn/ssp"
)

// hanging is how long a call of these tests may wait.
const hanging = 30 * time.Second

// stage is what a rank has of a store.
type stage struct {
	c     *runtime.Comm
	store *ssp.Store
	table *ssp.Table[int64]
}

func open(ctx context.Context, c *runtime.Comm, cfg ssp.Config) (stage, error) {
	s, err := ssp.Open(ctx, c, cfg)
	if err != nil {
		return stage{}, err
	}
	t, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "t", Rows: 11, Width: 2})
	return stage{c, s, t}, err
}

// work reads and changes all rows in each of so many clocks.
func (s stage) work(ctx context.Context, clocks int) error {
	return s.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		v, x := s.table.View(w), make([]int64, 2)
		for range clocks {
			for row := range s.table.Rows() {
				if err := v.Get(ctx, row, x); err != nil {
					return err
				}
				v.Inc(row, []int64{1, 2})
			}
			if err := w.Clock(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// left checks that a call ends because one of the ranks has left.
func left(c *runtime.Comm, err error, ranks ...int) error {
	for _, r := range ranks {
		if stderrors.Is(err, runtime.ErrLeft) && strings.Contains(err.Error(), fmt.Sprintf("rank %d on host ", r)) {
			return nil
		}
	}
	return errors.Errorf("rank %d: want an error that one of the ranks %v has left, got %v", c.Rank(), ranks, err)
}

// waiting are the calls that wait for all ranks, by name.
var waiting = []struct {
	name string
	call func(ctx context.Context, s stage) error
}{
	{"sync", func(ctx context.Context, s stage) error { return s.store.Sync(ctx) }},
	{"create", func(ctx context.Context, s stage) error {
		_, err := ssp.CreateTable(ctx, s.store, ssp.TableSpec[float32]{Name: "u", Rows: 3, Width: 1})
		return err
	}},
	{"collect", func(ctx context.Context, s stage) error {
		return s.table.Collect(ctx, 0, func(int64, []int64) error { return nil })
	}},
	{"policy", func(ctx context.Context, s stage) error { return s.table.SetPolicy(ctx, ssp.SSP(1)) }},
	{"open", func(ctx context.Context, s stage) error {
		_, err := ssp.Open(ctx, s.c, ssp.Config{})
		return err
	}},
	{"close", func(ctx context.Context, s stage) error { return s.store.Close(ctx) }},
	{"work", func(ctx context.Context, s stage) error {
		if err := s.work(ctx, 12); err != nil {
			return err
		}
		return s.store.Sync(ctx) // policies without a bound wait here
	}},
}

var allPolicies = append(slices.Clone(policies), ssp.FSSP(1), ssp.Backup(1), ssp.DBW())

// jobSizes are how many ranks jobs have here. The race detector finds in one what it
// finds in others, and takes its time.
func jobSizes() []int {
	if race.Enabled {
		return []int{3}
	}
	return []int{2, 3, 5}
}

// TestLeaves: a rank returns without having closed the store; all others, whatever they
// wait for, get an error that names it.
func TestLeaves(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, n := range jobSizes() {
			for i, p := range allPolicies {
				if net.Name != "mem" && i%4 != n%4 { // each network has each policy, with some number of ranks
					continue
				}
				for _, w := range waiting {
					if w.name == "policy" && (p.Frees() || p.Drops() || strings.Contains(p.String(), "vap") || strings.HasPrefix(p.String(), "managed")) {
						continue
					}
					for _, away := range []int{0, n - 1} {
						t.Run(fmt.Sprintf("net=%s/ranks=%d/%v/%s/away=%d", net.Name, n, p, w.name, away), func(t *testing.T) {
							net.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
								ctx, cancel := context.WithTimeout(ctx, hanging)
								defer cancel()
								s, err := open(ctx, c, ssp.Config{Policy: p})
								if err != nil || c.Rank() == away {
									return err
								}
								// Who has been told may leave before another hears of the first.
								any := []int{away}
								for r := range n {
									if r != c.Rank() {
										any = append(any, r)
									}
								}
								for range 2 { // before and after it is known, that is
									if err := left(c, w.call(ctx, s), any...); err != nil {
										return err
									}
									if w.name == "work" || w.name == "close" {
										break
									}
								}
								if w.name == "close" {
									return s.store.Close(ctx) // nil
								}
								return left(c, s.store.Close(ctx), any...)
							})
						})
					}
				}
			}
		}
	}
}

// TestLeavesAfterWork: a rank whose workers have ended holds nobody back when it
// leaves, and its rows can be read, until all are waited for.
func TestLeavesAfterWork(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, n := range jobSizes() {
			for _, p := range allPolicies {
				t.Run(fmt.Sprintf("net=%s/ranks=%d/%v", net.Name, n, p), func(t *testing.T) {
					net.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
						ctx, cancel := context.WithTimeout(ctx, hanging)
						defer cancel()
						s, err := open(ctx, c, ssp.Config{Policy: p})
						if err != nil {
							return err
						}
						if c.Rank() == 1 {
							return s.work(ctx, 2)
						}
						if err := s.work(ctx, 12); err != nil {
							return err
						}
						others := []int{0, 1, 2, 3, 4}
						if err := left(c, s.store.Sync(ctx), others[:n]...); err != nil {
							return err
						}
						return left(c, s.store.Close(ctx), others[:n]...)
					})
				})
			}
		}
	}
}

// TestNotClosed: a program need not close the store: who leaves behind the last call
// disturbs nobody who is still in it, nor one that reads by itself.
func TestNotClosed(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, n := range append(jobSizes(), 1) {
			for _, p := range []ssp.Policy{ssp.BSP(), ssp.ESSP(1), ssp.Managed(3, ssp.FIFO), ssp.FSSP(1), ssp.Backup(0), ssp.DBW()} {
				t.Run(fmt.Sprintf("net=%s/ranks=%d/%v", net.Name, n, p), func(t *testing.T) {
					for range 5 {
						net.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
							ctx, cancel := context.WithTimeout(ctx, hanging)
							defer cancel()
							s, err := open(ctx, c, ssp.Config{Policy: p})
							if err != nil {
								return err
							}
							if err := s.work(ctx, 3); err != nil {
								return err
							}
							if err := s.store.Sync(ctx); err != nil {
								return err
							}
							if err := s.table.Collect(ctx, n-1, func(int64, []int64) error { return nil }); err != nil || c.Rank() > 0 {
								return err
							}
							return s.work(ctx, 1)
						})
					}
				})
			}
		}
	}
}

// TestClosedAndLeft: who has closed the store disturbs nobody, whenever it leaves.
func TestClosedAndLeft(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, n := range append(jobSizes(), 1) {
			t.Run(fmt.Sprintf("net=%s/ranks=%d", net.Name, n), func(t *testing.T) {
				for _, p := range allPolicies {
					if b, ok := p.Backups(); ok && b >= n {
						continue
					}
					net.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
						ctx, cancel := context.WithTimeout(ctx, hanging)
						defer cancel()
						s, err := open(ctx, c, ssp.Config{Policy: p})
						if err != nil {
							return err
						}
						if err := s.work(ctx, 2); err != nil {
							return err
						}
						return s.store.Close(ctx)
					})
				}
			})
		}
	}
}

// TestCallsDiffer: ranks that are in different calls all get an error that names both,
// and who comes to a store that another could not close does not wait.
func TestCallsDiffer(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		for _, p := range []ssp.Policy{ssp.BSP(), ssp.ESSP(1), ssp.Backup(1)} {
			for i, a := range waiting {
				for j, b := range waiting {
					if i == j || a.name == "work" || b.name == "work" || a.name == "open" || b.name == "open" || p.Drops() && (a.name == "policy" || b.name == "policy") {
						continue
					}
					t.Run(fmt.Sprintf("ranks=%d/%v/%s-%s", n, p, a.name, b.name), func(t *testing.T) {
						runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
							ctx, cancel := context.WithTimeout(ctx, hanging)
							defer cancel()
							s, err := open(ctx, c, ssp.Config{Policy: p})
							if err != nil {
								return err
							}
							own := a
							if c.Rank() == n-1 {
								own = b
							}
							err = own.call(ctx, s)
							if !stderrors.Is(err, ssp.ErrMismatch) || !strings.Contains(err.Error(), "rank 0 is in ") || !strings.Contains(err.Error(), fmt.Sprintf("rank %d in ", n-1)) {
								return errors.Errorf("rank %d in %s: %v", c.Rank(), own.name, err)
							}
							if own.name == "close" {
								return nil
							}
							err = s.store.Close(ctx)
							if a.name != "close" && b.name != "close" {
								return err
							}
							if !stderrors.Is(err, runtime.ErrLeft) && !stderrors.Is(err, runtime.ErrClosed) {
								return errors.Errorf("rank %d closes a store that another could not: %v", c.Rank(), err)
							}
							return nil
						})
					})
				}
			}
		}
	}
}
