// Package launcher starts the ranks of a job on the hosts that were asked for,
// carries their output, input and signals, watches over them, and says what
// failed first when something fails. Whatever happens, no process of the job
// outlives it.
package launcher

import (
	"os"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// Staging says when programs are copied to the hosts.
type Staging string

// Values of Staging.
const (
	StageAuto   Staging = "auto"   // where the program is absent or differs
	StageAlways Staging = "always" // everywhere, every time
	StageNever  Staging = "never"  // the hosts have it, and sspurn too
)

// Switch is a setting that finds its own value unless it is told.
type Switch string

// Values of Switch.
const (
	Auto Switch = "auto"
	On   Switch = "on"
	Off  Switch = "off"
)

// Exit statuses of a launch besides those of the ranks.
const (
	ExitTimeout = 124 // the job ran into Timeout
	ExitLaunch  = 125 // the launcher itself failed: bad flags, a host out of reach
	exitSignal  = 128 // and the signal's number
)

// Default times between asking ranks to end and killing them.
const (
	GraceAsked  = 10 * time.Second // after an interrupt or a timeout
	GraceFailed = time.Second      // after a failure
)

// Job is what is to be run, and where. The zero value of a field means its
// default.
type Job struct {
	Program string   // as the user wrote it: looked up in the PATH when it has no slash
	Args    []string // of the program

	Ranks    int    // 0: all slots of the hosts, else the cores of this machine
	Hosts    []Host // none: this machine
	Place    Placement
	Bind     Binding  // of ranks to cores; "" means BindNone
	Env      []string // NAME=VALUE for the ranks, in addition
	Dir      string   // working directory of the ranks; "" means the launcher's where it exists
	Stage    Staging
	SSH      []string // remote shell and its options; nil: ssh
	Iface    string   // network (CIDR) or interface that the mesh uses; "" means the route that ssh took
	Ports    [2]int   // first and last port of the mesh; zero: any
	Emulate  string   // what bootstrap.ParseEmulation reads
	Straggle string   // what bootstrap.ParseStraggle reads
	Memory   Switch   // ranks of a host share memory; Auto: unless Emulate is set; On: also then, but for the links it slows
	OnDemand Switch   // ranks connect when they first talk, over TCP; Auto: in jobs of more than 64
	Timeout  time.Duration
	Stall    time.Duration // after which it is told who waits for whom; 0: never
	Grace    time.Duration // 0: GraceAsked and GraceFailed
	RunDir   string        // directory of the run's record; "" means a temporary one that only a failed job leaves

	Record    Switch        // Off: ranks record nothing
	Trace     string        // file for the timeline of all ranks; "": none
	Metrics   string        // address that serves Prometheus metrics; "": none
	Dashboard string        // address that serves the live page; "": none
	Hold      time.Duration // how long the page is served after the end; 0: until pages that are open have the end, on a terminal until an interrupt
	Board     *Dashboard    // instead of one at the address Dashboard; the job begins and ends there
	Watch     func(Status)  // told how far the job is, at most every 200 ms, instead of the progress line; may be nil
	Setting   string        // when the job is one of several that are compared: its -sync
	Template  []string      // then: Args as all runs have them
	Shuffle   uint64        // then: seed of the order of the runs
	Repeat    int           // and which run of the setting it is, from 1

	Tag       Switch // the rank before each line of output
	Timestamp bool   // the time before each line of output
	OutputDir string // directory for the output, a file for each rank and stream, instead of showing it
	Progress  Switch // a live line on the terminal
	Verbose   bool   // say what the launcher does

	Self []string // command that runs this program as "sspurn"; the first is the program's path

	// Of a job of a Comparison; nil otherwise.
	spare  *spare        // what is done where a file can not be written
	memory *memory       // what the job records
	scrape *scrapeServer // instead of one at the address Metrics
}

// Streams are the launcher's own. Stdin may be nil.
type Streams struct {
	Stdin          *os.File
	Stdout, Stderr *os.File
	Signals        <-chan os.Signal // what the launcher was sent, SIGCONT included; nil: nothing
}

// Failure is a job that did not end well.
type Failure struct {
	Code  int      // exit status of the launcher
	Cause string   // one line: rank, host and cause
	Tail  []string // what the rank printed last, and how its last panic began
	More  []string // further lines for the user
}

func (f *Failure) Error() string { return f.Cause }

// checkSlowing reads what the ranks will be told to emulate, for a job of that
// many ranks.
func (job *Job) checkSlowing(ranks int) error {
	slow, err := bootstrap.ParseEmulation(job.Emulate)
	if err == nil {
		err = slow.Validate(ranks)
	}
	if err != nil {
		return err
	}
	late, err := bootstrap.ParseStraggle(job.Straggle)
	if err != nil {
		return err
	}
	return late.Validate(ranks)
}

// shares reports whether ranks of a host are to share memory.
func (job *Job) shares() bool {
	return job.Memory == On || job.Memory != Off && job.Emulate == ""
}

// recording returns what ranks are to record.
func (job *Job) recording() bootstrap.Recording {
	switch {
	case job.Record == Off:
		return bootstrap.RecordOff
	case job.Trace != "":
		return bootstrap.RecordTrace
	}
	return bootstrap.RecordReport
}

// onDemandOver is the number of ranks above which they connect when they first
// talk: up to there all connect in a fraction of a second, and a bad network is
// found when the job starts.
const onDemandOver = 64

// onDemand reports whether so many ranks are to connect when they first talk.
func (job *Job) onDemand(ranks int) bool {
	return job.OnDemand == On || job.OnDemand != Off && ranks > onDemandOver
}
