package telemetry

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pkg/errors"
)

// JobFile is the name of the file in a run directory that describes the job.
const JobFile = "job.json"

// RankFile is the name of the file in a run directory that holds the record
// lines of a rank.
func RankFile(rank int) string { return fmt.Sprintf("rank-%d.jsonl", rank) }

// JobInfo describes a recorded job. The launcher writes it when the ranks
// start, with Ended false, and again when the job has ended.
type JobInfo struct {
	Job      string            `json:"job"`                // identity, as in bootstrap.Config
	Program  string            `json:"program"`            // as the user wrote it
	Args     []string          `json:"args"`               // of the program
	Ranks    int               `json:"ranks"`              // number of ranks
	Hosts    []HostInfo        `json:"hosts"`              // in the order of their first rank
	Settings map[string]string `json:"settings,omitempty"` // flags of the launcher that change what is measured: "emulate", "straggle"
	Versions map[string]string `json:"versions,omitempty"` // "sspurn", "go", "platform"
	Start    time.Time         `json:"start"`
	Record   string            `json:"record,omitempty"` // "off": ranks recorded nothing; "trace": all their spans; "": what a report needs

	// Of a run that is one of several that are compared.
	Setting  string   `json:"setting,omitempty"`  // its -sync
	Repeat   int      `json:"repeat,omitempty"`   // from 1
	Template []string `json:"template,omitempty"` // Args as all of them have them, without -sync

	Ended   bool    `json:"ended"`
	Seconds float64 `json:"seconds,omitempty"` // from Start to the end of the last rank
	Exit    int     `json:"exit"`              // the launcher's exit status; counts when Ended
	Cause   string  `json:"cause,omitempty"`   // the first failure; empty after success
	// Lines is how many lines the launcher took for the record of each rank, by rank:
	// a file that holds fewer lacks its end. nil before the end and by older versions.
	Lines []int64 `json:"lines,omitempty"`
	// Partial says why the record lacks what came last, a full disk say; empty: it does not.
	Partial string `json:"partial,omitempty"`
}

// HostInfo is a host of a job and the ranks on it.
type HostInfo struct {
	Name  string `json:"name"`           // as the user wrote it
	Addr  string `json:"addr,omitempty"` // where its ranks listen
	Ranks []int  `json:"ranks"`          // ascending
	// Clock compares the host's clock with the launcher's in the course of the job.
	Clock []ClockOffset `json:"clock,omitempty"`
}

// ClockOffset is one comparison of a host's clock with the launcher's.
type ClockOffset struct {
	At     float64 `json:"at"`     // seconds since the job's Start
	Offset float64 `json:"offset"` // seconds by which the host's clock is ahead
	Error  float64 `json:"error"`  // at most, in seconds: half the round trip
}

// WriteJob writes the job's description into the run directory. A reader sees
// the old or the new file, never a part of one.
func WriteJob(dir string, info JobInfo) error {
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return errors.Wrap(err, "run directory")
	}
	name := filepath.Join(dir, JobFile)
	err = os.WriteFile(name+".new", append(text, '\n'), 0o666)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		_ = os.Remove(name + ".new") // what is left of it, if anything
	}
	return errors.Wrap(err, "run directory")
}
