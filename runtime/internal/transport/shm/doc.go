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
//	slot   who has mapped it (layout, process, rank, key) · sleeping
//	lines  closed, want, tail: written by the sender · head: by the receiver
//	ring   1 MiB up to 4 ranks, 256 KiB up to 8, 64 KiB beyond
//
// What ranks share beside that, for windows, begins far behind it: 32 PiB for each
// rank, of which it uses each page once, so that the file is long and almost empty.
//
// A ring carries a stream of bytes, as a connection does, in chunks of up to
// 32 KiB that begin at cache lines. A short frame is one chunk; a long one goes
// through the ring in several, straight out of the sender's slice and into the
// receiver's. A chunk is there when its first word is its mark: its position in
// the stream and a random key of the sender, which no payload can hold. So the
// receiver looks at the very line that the bytes come in: a short message takes
// one transfer between caches, where a tail apart from it, in a line that both
// sides touch, takes two or three (8 bytes one way, measured: 155 ns instead of
// 500). The sender copies and then stores the mark, the receiver loads it and
// then copies; then it stores head. Go's atomic operations are sequentially
// consistent and compile to what orders plain accesses too.
//
// # Trust
//
// Each end keeps its own position in its own memory and takes the other's with
// a check: a chunk that does not fit in the ring, or a head that is not between
// the last one and the own position, loses the peer, and so does a header that a
// socket's reader would refuse. What a peer writes meanwhile can spoil its own messages and no
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
