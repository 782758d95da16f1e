package transport

// Sharer is a Transport whose rank may share memory with peers beside what
// frames go through. Its methods are callable from anywhere.
type Sharer interface {
	// Shares reports whether a peer can map what this rank can.
	Shares(peer int) bool
	// Room returns where the room of this rank begins that has never been used,
	// a multiple of the page size, and its length. No two ranks have the same.
	Room() (at, n int64)
	// Take uses n bytes of the room. It fails when at is not where it begins
	// any more.
	Take(at, n int64) error
	// Map maps n bytes from at on that some rank takes. They are zero until
	// somebody writes there.
	Map(at, n int64) (Memory, error)
}

// Memory is mapped.
type Memory interface {
	Bytes() []byte
	// Empty gives back n bytes from from on, whole pages, for all who have them
	// mapped: they read as zero.
	Empty(from, n int) error
	// Close unmaps it. Nothing that refers to Bytes may be used any more.
	Close() error
}
