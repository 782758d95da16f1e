// Package telemetry is what a rank records about itself and the format of a
// run directory: job.json, and one file of JSON lines for each rank. The same
// lines feed the launcher's progress display while the job runs.
package telemetry

// Event is one line of a rank's record. Kind says which fields count; counts
// and seconds are totals since the rank started, so that a lost line loses
// nothing but resolution.
type Event struct {
	Kind string  `json:"ev"`          // "start", "plan", "clock", "spans", "loss", "bytes", "process", "setting", "result", "waits", "note"
	Time float64 `json:"t"`           // seconds since the rank joined
	Rank int     `json:"rank"`        // in the job
	Text string  `json:"s,omitempty"` // note: free text; setting: the -sync that the program goes by, said by rank 0 at its start

	// start: the rank began to record.
	Wall int64 `json:"wall,omitempty"` // then, in nanoseconds since 1970 by the clock of its host
	Pid  int   `json:"pid,omitempty"`

	// plan: how long the job is going to be, said by rank 0 before the first clock:
	// Clocks of every worker.

	// clock: a worker ended a clock. Clocks is how many it has ended, when that is
	// not Clock: it skipped some.
	Worker   int        `json:"w,omitempty"`
	Clock    int64      `json:"c,omitempty"`
	Compute  float64    `json:"compute,omitempty"`  // seconds outside the store, straggling included
	Gate     float64    `json:"gate,omitempty"`     // seconds waited because others are behind
	Miss     float64    `json:"miss,omitempty"`     // seconds waited for rows to arrive
	Flush    float64    `json:"flush,omitempty"`    // seconds handing updates over
	Straggle float64    `json:"straggle,omitempty"` // seconds slept for -straggle, part of Compute
	Reads    int64      `json:"reads,omitempty"`
	Fetches  int64      `json:"fetches,omitempty"` // row requests sent
	Held     int64      `json:"held,omitempty"`    // times that a filter kept back a row's updates at the end of their clock
	Saved    int64      `json:"saved,omitempty"`   // about the bytes that filters kept from leaving; may be negative
	Stale    [][2]int64 `json:"stale,omitempty"`   // histogram of (age of the copy − reader's clock, reads)
	Dropped  int64      `json:"dropped,omitempty"` // by worker 0: clocks of the rank whose updates did not count
	// On is Gate by the rank that was waited for: (rank, seconds), by rank.
	On [][2]float64 `json:"on,omitempty"`

	// spans: stretches of time, see Unpack. With -trace all, otherwise those of the
	// slowest clocks of each worker.
	Spans []byte   `json:"spans,omitempty"`
	Names []string `json:"names,omitempty"`

	// loss: a figure of merit, reported by rank 0.
	Metric  string  `json:"metric,omitempty"` // "train_rmse", "test_rmse", "loglik"
	Better  string  `json:"better,omitempty"` // "lower" or "higher"
	Value   float64 `json:"v,omitempty"`
	Pass    float64 `json:"pass,omitempty"`    // passes over the data so far
	Clocks  int64   `json:"clocks,omitempty"`  // clocks so far, of loss and plan events of every worker
	Seconds float64 `json:"seconds,omitempty"` // training seconds so far, without evaluation
	Rate    float64 `json:"rate,omitempty"`    // items a second since the previous loss event, all ranks
	Goal    float64 `json:"goal,omitempty"`    // passes the job is going to make; 0 unknown

	// bytes: what has left the rank, by class: "update", "fetch" (requests for rows
	// and answers), "push", "control", each as it travelled; "raw", the first three
	// before compression; "wire", all of the runtime's, headers included.
	Bytes map[string]int64 `json:"bytes,omitempty"`
	// To is the part of "wire" that went to each rank, by rank.
	To []int64 `json:"to,omitempty"`

	// process: what the operating system and Go say of the rank's process.
	CPU        float64 `json:"cpu,omitempty"`        // seconds, user and system
	RSS        int64   `json:"rss,omitempty"`        // bytes in memory now
	Heap       int64   `json:"heap,omitempty"`       // bytes of Go's heap in use now
	Goroutines int64   `json:"goroutines,omitempty"` // now
	GCPause    float64 `json:"gc_pause,omitempty"`   // seconds that the collector stopped the program

	// waits: what goroutines of the rank have waited for longer than briefly; none:
	// that is over. Such a line is for the launcher and not kept.
	Waits []Wait  `json:"waits,omitempty"`
	Ended uint64  `json:"ended,omitempty"` // calls that have ended so far
	Idle  float64 `json:"idle,omitempty"`  // seconds in which none has

	// result: the keys and values of the app's result line, in order.
	Result [][2]string `json:"result,omitempty"`
}
