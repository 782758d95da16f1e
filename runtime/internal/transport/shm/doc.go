// Package shm moves frames between ranks of one host through memory that they
// share, on Linux, and leaves those for other hosts to another transport. The
// engine sees one transport.
//
// # Memory
//
// The agent of a host makes one memory file (memfd) and a bell (eventfd) for
// each of its ranks, and hands them over with the welcome, by SCM_RIGHTS on the
// control socket that a rank inherits. Whoever has the job's secret has it from
// the same socket, so the memory needs no other proof. No name of it is in any
// file system: the kernel frees it with the last process that holds it, however
// that ends. The first rank sizes the file and seals it against shrinking, so
// that no access to it can fail later. Pages are touched when bytes first pass.
//
// The file holds a slot for each rank, a pair of lines for each ordered pair of
// ranks, those of one receiver side by side, and the rings' bytes:
//
//	slot   who has mapped it (layout, process, rank) · sleeping
//	lines  tail, closed, want: written by the sender · head: by the receiver
//	ring   1 MiB up to 4 ranks, 256 KiB up to 8, 64 KiB beyond
//
// A ring is a stream of bytes, as a connection is: frames lie in it head to
// tail, and one that is longer than the ring passes through it in pieces,
// straight out of the sender's slice and into the receiver's. The sender copies
// and then stores tail, the receiver loads tail and then copies; head likewise.
// Go's atomic operations are sequentially consistent and compile to what orders
// plain accesses too.
//
// # Trust
//
// Each end keeps its own position in its own memory and takes the other's with
// a check: a tail more than a ring ahead of head, or a head that is not between
// head and tail, loses the peer, and so does a header that a socket's reader
// would refuse. What a peer writes meanwhile can spoil its own messages and no
// others.
//
// # Waking
//
// A rank that is about to block sets its word sleeping and looks at all rings
// once more. Who has published bytes, or freed some that the other end wants,
// looks at that word; if it is set he clears it and rings the bell, which is in
// the set of descriptors that the other blocks on. Both store and then load, so
// one of them sees the other. Ranks that poll cost nobody a system call.
//
// # Loss
//
// There is no connection whose end would tell of a peer's: a rank that leaves
// sets closed in its lines, and one that dies is seen by the descriptor of its
// process (pidfd) as well as by its agent. What it had sent is received before.
package shm
