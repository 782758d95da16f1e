// Package ssp is a parameter store of bounded staleness: tables of numbers
// that all ranks of a job read and add to, whose copies are never older than a
// policy allows.
//
//	store, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(3)})
//	table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[float32]{Name: "w", Rows: 1000, Width: 32})
//	err = store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
//		view := table.View(w)
//		for more() {
//			row, err := view.Edit(ctx, 7) // as all workers left it at most three clocks ago, own updates included
//			improve(row)
//			err = w.Clock(ctx)            // hands the difference to the row's owner
//		}
//	})
//
// Every rank owns a part of each table and has Config.Workers workers. A worker
// reads and updates rows through its View of a table, and ends its iterations
// with Clock. What it has added it sees at once; what others have added it sees
// when the policy says so at the latest (Ho et al., More effective distributed
// ML via a stale synchronous parallel parameter server, NIPS 2013). Only reads
// wait for others; Clock waits for nothing but back-pressure, and for a bound on
// values where the policy has one (VAP).
//
// A table may have another update rule than addition (TableSpec.Update): what
// workers send are gradients then, with which the owner of a row takes a step.
//
// A Store may be used by several goroutines as far as a method says; a Worker
// and its Views belong to one goroutine.
//
// # Errors
//
// When a rank is lost, everything that waits fails with an error that matches
// runtime.ErrRankLost. A rank whose body returns before it has closed the store
// takes no further part: collective calls fail at all others, those that wait and
// all later ones, Close too, and so do reads that wait for a clock that its workers
// have not ended. The error names the rank and matches runtime.ErrLeft. Its rows can
// still be read, and workers of it that are closed hold nobody back. Under Backup(b),
// iterations do without b such ranks. Who has closed the store may leave at any time.
//
// Ranks that are in different collective calls, or bring different things to one,
// all get an error that matches ErrMismatch and names two of them with what they
// have.
package ssp
