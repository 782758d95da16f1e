// Package runtime makes a process one rank of a parallel program: it joins the
// job that the process was started for, and lets the ranks talk.
//
//	err := runtime.Run(ctx, func(ctx context.Context, c *runtime.Comm) error {
//		if c.Rank() == 0 {
//			return runtime.Send(ctx, c, 1, 0, []float64{1, 2, 3})
//		}
//		x := make([]float64, 3)
//		_, err := runtime.Recv(ctx, c, 0, 0, x)
//		return err
//	})
//
// A communicator (Comm) is an ordered set of ranks with a message space of its
// own. Messages are slices of numbers: between two ranks, on one communicator
// and tag, they are received in the order sent. A port (OpenPort) takes
// messages without a matching receive: a handler runs at the target. A window
// (NewWindow) is memory at every rank that all may use without its owner's help.
//
// # Slices
//
// A slice given to a call belongs to the runtime until the call returns, one
// given to Isend or Irecv until its Request has ended. A message to the own
// rank is copied like any other.
//
// # Errors
//
// When a rank is lost, every pending and later call on every communicator that
// contains it fails at once with a *RankError, which matches ErrRankLost. A
// call whose context ends returns the context's cause. One that waits for a
// rank whose body has returned meanwhile fails with an error that matches
// ErrLeft. One that waits for any rank goes on, though all others have left:
// another goroutine of its own rank may still end it. Calls that all ranks make
// together and that differ, or that a rank gives up, fail with errors that match
// ErrMismatch and ErrAbandoned.
package runtime
