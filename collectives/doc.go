// Package collectives provides the operations that all ranks of a communicator
// perform together, over slices of any [runtime.Elem].
//
// Every function here is collective: all ranks of the communicator call it, in
// the same order, one call at a time, with arguments that agree. Destinations
// come first, as in copy. Where dst and src have the same length they may be
// the same slice; otherwise they must not overlap. Slices are the caller's
// again when the call returns. Messages travel in a space of their own and meet
// no receive of the program, wildcards included.
//
// # Disagreement
//
// Messages carry the fingerprint of the call that sends them: its number on the
// communicator, operation, element type, count, root. A rank that sees another
// fingerprint than its own tells all others, and every rank that is in a
// collective call, or makes its next one, gets an error that matches
// [ErrMismatch] and names both sides. Ranks that all wait and so exchange
// nothing tell each other after a short while what they are waiting in. A rank
// whose part was over before the disagreement showed, such as the root of a
// Bcast or a rank that only sends in a Gather, learns of it from a later call,
// the second Barrier after at the latest. A rank whose body has returned while
// others wait for it in a call disagrees too.
//
// A call that was given up, because its context ended, leaves the others
// without an answer: they get [ErrAbandoned]. After a call has failed for any
// of these reasons, or because a rank was lost, later calls on the same
// communicator fail alike; Split and Dup make new ones.
//
// # Algorithms
//
// The algorithms are data (package schedule), chosen by a cost model from the
// number of ranks and the size of the vector, so that all ranks choose alike.
// Small vectors travel in one message with the fingerprint.
package collectives
