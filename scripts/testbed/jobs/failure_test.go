//go:build linux

package jobs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/scripts/testbed"
)

// failure is one way for a job to go wrong.
type failure struct {
	name   string
	within time.Duration // for the launcher to end, and for everything else to be gone
	inject func(*testing.T, *cluster, *job, *rand.Rand) blow
}

// blow is what was struck and what the launcher must say of it.
type blow struct {
	says []string      // in one line of the launcher's
	code int           // its exit status; -1: killed
	cut  *testbed.Host // the host that was cut off
}

func failures() []failure {
	return []failure{
		{"rank killed", 5 * time.Second, func(t *testing.T, c *cluster, _ *job, rng *rand.Rand) blow {
			r := c.pick(t, rng, "rank")
			kill(t, r.pid)
			return blow{says: []string{fmt.Sprintf("rank %d ", r.rank), r.host.Name, "killed by signal 9"}, code: 128 + 9}
		}},
		{"agent killed", 5 * time.Second, func(t *testing.T, c *cluster, _ *job, rng *rand.Rand) blow {
			r := c.pick(t, rng, "agent")
			kill(t, r.pid)
			return blow{says: []string{"host " + r.host.Name, "agent"}, code: 125}
		}},
		{"keeper killed", 5 * time.Second, func(t *testing.T, c *cluster, _ *job, rng *rand.Rand) blow {
			r := c.pick(t, rng, "keeper")
			kill(t, r.pid)
			return blow{says: []string{"host " + r.host.Name, "keeper"}, code: 125}
		}},
		{"link cut", 8 * time.Second, func(t *testing.T, c *cluster, _ *job, rng *rand.Rand) blow {
			h := c.Hosts()[rng.IntN(len(c.Hosts()))]
			if err := h.Cut(t.Context()); err != nil {
				t.Fatal(err)
			}
			return blow{says: []string{"host " + h.Name, "no sign of life"}, code: 125, cut: h}
		}},
		{"launcher killed", 5 * time.Second, func(t *testing.T, _ *cluster, j *job, _ *rand.Rand) blow {
			kill(t, j.cmd.Process.Pid)
			return blow{code: -1}
		}},
	}
}

// strike runs a job on 8 ranks of 3 hosts, lets it fail at a random moment,
// while it starts or later, and checks how it ends.
func strike(t *testing.T, c *cluster, f failure, early bool, rng *rand.Rand) {
	onDemand := []string{"off", "on"}[rng.IntN(2)]
	j := c.startForever(t, onDemand)
	if early {
		j.awaitRanks(8, 30*time.Second)
		pause(time.Duration(rng.IntN(100)) * time.Millisecond)
	} else {
		j.sees("mf: pass ", 30*time.Second)
		pause(time.Duration(rng.IntN(500)) * time.Millisecond)
	}
	start := time.Now()
	b := f.inject(t, c, j, rng)
	if b.cut != nil {
		defer func() {
			if err := b.cut.Mend(t.Context()); err != nil {
				t.Error(err)
			}
			j.quiet(20*time.Second, nil) // sshd learns of the end once TCP repeats what it sent
		}()
	}
	code := j.end(f.within)
	took := time.Since(start)
	if code != b.code {
		t.Errorf("exit status: got %d, want %d", code, b.code)
	}
	line := ""
	if len(b.says) > 0 {
		var ok bool
		if line, ok = j.said(b.says); !ok {
			t.Errorf("the launcher says %q, want a line with %q", line, b.says)
		}
	}
	j.quiet(f.within-took, b.cut)
	t.Logf("%s, -on-demand %s: launcher ended after %v, all gone after %v: %s", f.name, onDemand,
		took.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), line)
}

func TestFailures(t *testing.T) {
	c := newCluster(t)
	rng := newRand(t)
	for _, f := range failures() {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) { strike(t, c, f, false, rng) })
	}
}

// TestRandomFailures repeats failures of random kinds FAILURES times.
func TestRandomFailures(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("FAILURES"))
	if err != nil || n < 1 {
		t.Skip("SKIPPED: FAILURES is not set (make failures sets it)")
	}
	c := newCluster(t)
	rng := newRand(t)
	kinds := failures()
	for i := range n {
		if i%len(kinds) == 0 { // every kind equally often
			rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		f := kinds[i%len(kinds)]
		t.Run(fmt.Sprint(i+1, "-", strings.ReplaceAll(f.name, " ", "-")), func(t *testing.T) { strike(t, c, f, rng.IntN(3) == 0, rng) })
	}
}

// newRand returns a source whose seed is printed, or is SEED of the
// environment.
func newRand(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}
