// Package seeds says how many seeds a randomised test tries: a few in every
// run of the tests, many when somebody asks for it. It imports nothing of the
// module, so that tests of the lowest packages can use it.
package seeds

import (
	"os"
	"strconv"
	"testing"
)

// Factor is the environment variable by which Count multiplies.
const Factor = "SSPURN_SIM"

// Count returns n, times the factor that the environment asks for. Seeds are
// then 0 to Count-1, so that a failing one is found again without it.
func Count(t testing.TB, n uint64) uint64 {
	t.Helper()
	s := os.Getenv(Factor)
	if s == "" {
		return n
	}
	k, err := strconv.ParseUint(s, 10, 32)
	if err != nil || k == 0 {
		t.Fatalf("%s=%q: want a number of at least 1", Factor, s)
	}
	return n * k
}
