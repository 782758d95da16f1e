package ssp

// Config says how a store works. The zero value is usable. Workers, Policy and
// Filter must be the same on every rank.
type Config struct {
	Workers int    // workers of each rank; default 1
	Policy  Policy // of tables that have none of their own; default BSP

	// Filter is that of tables that have none of their own; default none. Tables of
	// integers take of it what does not round.
	Filter Filter

	// Bandwidth is how many bits a second a rank sends at most as long as it has the
	// choice, for all tables under Managed; 0: as many as the network takes.
	Bandwidth float64

	// CacheBytes bounds the copies of other ranks' rows that a rank keeps, for
	// each table; default 256 MiB. Copies that workers wait for stay beyond it.
	CacheBytes int
	// LogBytes bounds the updates of a worker to a table without bound (Async)
	// that their owners have not acknowledged; Clock waits there. Those of the
	// last four clocks do not count. Default 256 KiB: more lets a worker outrun the
	// others without need where ranks share processors.
	LogBytes int
	// Refetch is how many rows, at most, a worker asks for again along with the
	// first row that it misses in a clock: those that it used in the clock before
	// and whose copies are too old now. It turns a round trip a row into one a
	// clock, and asks for rows that may not be needed. Default 65536; negative
	// for none, so that exactly the rows that are read are fetched.
	Refetch int

	// Prefetch is what workers ask for before they need it, beside their own calls
	// of View.Prefetch; default OnDemand.
	Prefetch Prefetch

	// Straggle slows workers down, as bootstrap.ParseStraggle describes; default what
	// the launcher was told. Seed makes its random delays.
	Straggle string
	Seed     uint64

	// Access, when not nil, is told of every access before it returns, on the
	// worker's goroutine.
	Access func(Access)
}

// Access is one use of a row by a worker.
type Access struct {
	Worker int // index on this rank
	Clock  Clock
	Table  string
	Row    int64
	Kind   AccessKind
	Age    Clock // of the copy that was read; 0 for Increment
}

// AccessKind says how a row was used.
type AccessKind uint8

// The kinds of accesses.
const (
	Read AccessKind = iota + 1
	Write
	Increment
)
