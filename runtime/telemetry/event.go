// Package telemetry is what a rank records about itself and the format of a
// run directory: job.json, and one file of JSON lines for each rank. The same
// lines feed the launcher's progress display while the job runs.
package telemetry

// Event is one line of a rank's record. Kind says which fields count; counts
// and seconds are totals since the rank started, so that a lost line loses
// nothing but resolution.
type Event struct {
	Kind string  `json:"ev"`          // "clock", "loss", "bytes", "result", "note"
	Time float64 `json:"t"`           // seconds since the rank joined
	Rank int     `json:"rank"`        // in the job
	Text string  `json:"s,omitempty"` // note: free text

	// clock: a worker ended a clock.
	Worker   int        `json:"w,omitempty"`
	Clock    int64      `json:"c,omitempty"`
	Compute  float64    `json:"compute,omitempty"`  // seconds outside the store, straggling included
	Gate     float64    `json:"gate,omitempty"`     // seconds waited because others are behind
	Miss     float64    `json:"miss,omitempty"`     // seconds waited for rows to arrive
	Flush    float64    `json:"flush,omitempty"`    // seconds handing updates over
	Straggle float64    `json:"straggle,omitempty"` // seconds slept for -straggle, part of Compute
	Reads    int64      `json:"reads,omitempty"`
	Fetches  int64      `json:"fetches,omitempty"` // row requests sent
	Stale    [][2]int64 `json:"stale,omitempty"`   // histogram of (age of the copy − reader's clock, reads)

	// loss: a figure of merit, reported by rank 0.
	Metric  string  `json:"metric,omitempty"` // "train_rmse", "test_rmse", "loglik"
	Better  string  `json:"better,omitempty"` // "lower" or "higher"
	Value   float64 `json:"v,omitempty"`
	Pass    float64 `json:"pass,omitempty"`    // passes over the data so far
	Clocks  int64   `json:"clocks,omitempty"`  // clocks so far
	Seconds float64 `json:"seconds,omitempty"` // training seconds so far, without evaluation
	Rate    float64 `json:"rate,omitempty"`    // items a second since the previous loss event, all ranks
	Goal    float64 `json:"goal,omitempty"`    // passes the job is going to make; 0 unknown

	// bytes: traffic of the rank by class: "update", "fetch", "push", "control", "wire".
	Bytes map[string]int64 `json:"bytes,omitempty"`

	// result: the keys and values of the app's result line, in order.
	Result [][2]string `json:"result,omitempty"`
}
