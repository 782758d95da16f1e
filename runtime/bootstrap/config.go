// Package bootstrap says what a process must know to join a job as one of its
// ranks, and finds it: from the agent that started the process, or, when
// nobody did, as a job of a single rank. It also reads the specifications of
// experiments, which the launcher checks and the ranks follow.
package bootstrap

import (
	"context"
	"log/slog"
	"time"
)

// Config is what a rank knows before it joins. It is plain data.
type Config struct {
	Job        string        // identity of the job; peers of another job are refused
	Rank, Size int           // this rank and the number of ranks
	Host       string        // this rank's host, as the user wrote it
	HostRanks  int           // ranks of the job on this host; 0 means 1
	Cores      int           // of this host; 0 means not known
	Secret     []byte        // authenticates the mesh; required when Size > 1
	Listen     string        // IP address to listen on and to tell the others; "127.0.0.1" when empty
	Ports      [2]int        // first and last port to listen on; zero means any
	Emulate    string        // what ParseEmulation reads; empty means none
	Straggle   string        // what ParseStraggle reads; empty means none
	Record     Recording     // what ranks record
	Join       time.Duration // limit for joining, and for a connection that is made later; 60 s when zero
	OnDemand   bool          // most pairs of ranks connect when they first talk; the same at all ranks
	Stall      time.Duration // after which a wait in one call is told to the launcher; never when zero
	Shared     *Shared       // memory of the ranks of this host, taken over by who joins; nil: none
	Control    Control       // channel to whoever started this rank; nil when alone
	Logger     *slog.Logger  // discards when nil
}

// Recording says what a rank records of itself.
type Recording string

// Values of Recording.
const (
	RecordReport Recording = ""      // what a report needs
	RecordOff    Recording = "off"   // nothing
	RecordTrace  Recording = "trace" // and every span of time
)

// Peer is where a rank listens.
type Peer struct {
	Rank int    `json:"rank"`
	Host string `json:"host"`
	Addr string `json:"addr"` // host:port

	// Cores is how many cores the rank's host has: the same for all ranks of a
	// host, and 0 when it is not known.
	Cores int `json:"cores,omitempty"`

	// Shared is the ID of the memory that the rank shares with others of its host,
	// and Slot its place there; empty when it shares none.
	Shared string `json:"shared,omitempty"`
	Slot   int    `json:"slot,omitempty"`
}

// Loss is a rank that ended before the job did, as its agent or the launcher saw it.
type Loss struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`
	Cause string `json:"cause"` // "killed by signal 9", "exit status 3", "host unreachable"
}

// Verdict is how a rank's body ended, told to the agent before the process exits.
type Verdict struct {
	OK        bool   `json:"ok"`
	Secondary bool   `json:"secondary"` // ended only because another rank was lost
	Lost      int    `json:"lost"`      // the other rank, when Secondary
	Cause     string `json:"cause"`     // the error's text
}

// Control is the channel between a rank and its agent. Methods may be called
// from any goroutine.
type Control interface {
	// Roster tells the agent where this rank listens and returns where all
	// ranks listen, in rank order, as soon as all have told.
	Roster(ctx context.Context, self Peer) ([]Peer, error)
	// Losses yields ranks as they are lost. It is closed when the channel to
	// the agent breaks: then the job is over.
	Losses() <-chan Loss
	// Record hands on one line of the run record, a JSON object without newline. It never
	// blocks for long: lines that do not fit are dropped and counted.
	Record(line []byte)
	// Finish reports the verdict. No other call follows.
	Finish(v Verdict) error
}
