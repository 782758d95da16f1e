package launcher

import (
	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// memory adds up what a job records, without spans, for where its record can not
// be read afterwards. It is owned by one goroutine at a time.
type memory struct {
	run *report.Run // nil before the start
}

// begin says that the job starts. It does nothing without m.
func (m *memory) begin(info telemetry.JobInfo) {
	if m != nil {
		m.run = report.NewRun(info)
	}
}

func (m *memory) event(rank int, e *telemetry.Event) { m.run.Add(rank, e) }

// end says how the job has ended. It does nothing without m.
func (m *memory) end(info telemetry.JobInfo) {
	if m != nil && m.run != nil {
		m.run.Job = info
	}
}

// Recorded returns what is known of a run: its record or, where that can not be
// read or is not whole, what was seen while it ran. It is nil for a run that was
// never started.
func (t *Trial) Recorded() *report.Run {
	runs, err := report.Read(t.Dir)
	switch {
	case err == nil && t.seen == nil:
		return runs[0]
	case t.seen == nil:
		return nil
	case err == nil && runs[0].Complete() && runs[0].Job.Ended == t.seen.Job.Ended:
		return runs[0]
	}
	run := *t.seen
	run.Dir, run.Seen = t.Dir, true
	if err != nil && run.Job.Partial == "" {
		run.Job.Partial = oneLine(err)
	}
	return &run
}
