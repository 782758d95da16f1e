// Package jobs holds the tests of whole jobs: real programs, started by
// sspurn over real ssh on the hosts of a testbed, left alone, or killed and
// cut off at random moments. It has no code of its own.
package jobs
