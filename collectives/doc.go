// Package collectives provides the operations that all ranks of a communicator
// perform together, over slices of any [runtime.Elem].
//
// Every function here is collective unless it says otherwise: all ranks of the
// communicator call it, in the same order, with arguments that agree.
// Destinations come first, as in copy. Where dst and src may be the same memory
// the function says so; otherwise they must not overlap. Messages travel in a
// space of their own and meet no receive of the program, wildcards included.
//
// # Blocking, started, prepared
//
// Each operation comes in three forms. The function of its name returns when
// this rank's part is over, and its slices are the caller's again: one such call
// at a time on a communicator. Start… returns a [Request] at once; the call makes
// progress by itself, several at a time and beside a blocking one, and its slices
// are its own until [Request.Wait]. Prepare… returns a [Plan] that holds
// schedule and buffers and is run any number of times without allocation. A
// started call meets started calls only, and blocking ones each other.
//
// # Disagreement
//
// The first message of a call to a rank carries the call's fingerprint: its
// number on the communicator, operation, element type, count, root, algorithm. A
// rank that sees another fingerprint than its own tells all others, and every
// rank that is in a collective call, or makes its next one, gets an error that
// matches [ErrMismatch] and names both sides. Ranks that all wait and so exchange
// nothing tell each other after a short while what they are waiting in. A rank
// whose part was over before the disagreement showed, such as the root of a
// Bcast or a rank that only sends in a Gather, learns of it from a later call: of
// blocking ones, the second Barrier after at the latest. A rank whose body has
// returned while others wait for it in a call disagrees too.
//
// A call whose arguments are wrong on one rank, whatever the others pass, ends on
// all as well: they get [ErrArgument], which names that rank. A call that was given
// up, because its context ended, leaves the others without an answer: they get
// [ErrAbandoned]. Others may be in such a call already, or in those after it. So
// when a call has failed for any of these reasons, or because a rank was lost,
// later calls on the same communicator fail alike; Split and Dup make new ones. On
// a communicator of one rank nobody else is in a call: what is wrong with its
// arguments is its own error, and later ones go on. Prepare… is local, and its
// errors end nothing.
//
// # Algorithms
//
// The algorithms are data (package schedule), chosen by the communicator's
// [Model] from the number of ranks, their hosts, the cores of these and the size of
// the vector, so that all ranks choose alike. [Tune] measures a model, [Install] installs it,
// [WithAlgorithm] overrides it for a call, and the record's trace says what ran.
// Results of sums of floats depend on the algorithm, unless [InOrder] asks for
// one order; all ranks get the same bits in any case.
package collectives
