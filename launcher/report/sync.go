package report

import "github.com/sspurn/sspurn/runtime/telemetry"

// SyncOf returns the -sync setting on the command line of a job's program; "":
// there is none.
func SyncOf(job *telemetry.JobInfo) string {
	name, _ := argument(job.Args, "sync")
	return name
}
