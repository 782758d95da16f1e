//go:build linux && !race

package jobs_test

// raceEnabled says that the programs under test are built like the tests.
const raceEnabled = false
