package runtimetest

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport/mem"
	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Cluster is a job whose surroundings a test controls: it plays launcher and
// agents, and the network when the ranks are connected in memory. Rank i runs
// on host "h<i>", or with others where ranks share memory.
type Cluster struct {
	// Edit may change what a rank is told to join with. Set it before Run.
	Edit func(cfg *runtime.Config)
	// Context may change the context that a rank runs with. Set it before Run.
	Context func(ctx context.Context, rank int) context.Context

	net     *mem.Net // nil: real connections
	perHost int      // ranks that share memory; 1: none
	ranks   []*control

	mu    sync.Mutex
	peers []bootstrap.Peer
	told  int
	all   chan struct{} // closed when all have told where they are
}

// NewCluster returns a cluster of n ranks connected in memory.
func NewCluster(n int) *Cluster {
	c := NewTCPCluster(n)
	c.net = mem.New(n)
	return c
}

// NewTCPCluster returns a cluster of n ranks connected over loopback.
func NewTCPCluster(n int) *Cluster {
	c := &Cluster{perHost: 1, peers: make([]bootstrap.Peer, n), all: make(chan struct{})}
	for rank := range n {
		c.ranks = append(c.ranks, &control{cluster: c, rank: rank, losses: make(chan bootstrap.Loss, n)})
	}
	return c
}

// NewSharedCluster returns a cluster of n ranks of hosts with perHost ranks
// each, of which the last may have fewer: they share memory within a host, and
// are connected over loopback otherwise. It needs a system where ranks share
// memory; elsewhere all of its ranks fail.
func NewSharedCluster(n, perHost int) *Cluster {
	c := NewTCPCluster(n)
	c.perHost = perHost
	return c
}

// Run runs body on all ranks and returns what Config.Run returned at each.
func (c *Cluster) Run(ctx context.Context, body Body) []error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errHang)
	defer cancel()
	errs := make([]error, len(c.ranks))
	memory, err := c.memory()
	if err != nil {
		for rank := range errs {
			errs[rank] = err
		}
		return errs
	}
	var ranks sync.WaitGroup
	for rank, control := range c.ranks {
		cfg := runtime.Config{
			Job: "test", Rank: rank, Size: len(c.ranks), Host: c.Host(rank), HostRanks: len(c.ranks), Shared: memory[rank],
			Secret: []byte("of a test, at least sixteen bytes"), Listen: "127.0.0.1", Control: control,
		}
		control.shares = cfg.Shared != nil
		if c.net != nil {
			cfg.Control = inMemory{control}
		}
		if c.Edit != nil {
			c.Edit(&cfg)
		}
		own := ctx
		if c.Context != nil {
			own = c.Context(ctx, rank)
		}
		ranks.Go(func() { errs[rank] = cfg.Run(own, body) })
	}
	ranks.Wait()
	return errs
}

// memory returns what each rank shares with the others of its host, nil for one
// that has the host to itself.
func (c *Cluster) memory() ([]*bootstrap.Shared, error) {
	n := len(c.ranks)
	if c.perHost == 1 {
		return make([]*bootstrap.Shared, n), nil
	}
	var out []*bootstrap.Shared
	for len(out) < n {
		some := min(c.perHost, n-len(out))
		if some == 1 {
			out = append(out, nil)
			continue
		}
		host, err := share(c.Host(len(out)), some)
		out = append(out, host...)
		if err != nil {
			closeShared(out)
			return nil, err
		}
	}
	return out, nil
}

// share makes what the agent of a host with n ranks makes, and returns what each
// of them gets of it.
func share(id string, n int) (out []*bootstrap.Shared, err error) {
	if !shares {
		return nil, errors.New("ranks share no memory here")
	}
	made, err := bootstrap.NewShared(id, n)
	if err != nil {
		return nil, err
	}
	defer made.Close()
	for slot := range n {
		s, err := made.At(slot)
		if err != nil {
			return out, err
		}
		out = append(out, s)
	}
	return out, nil
}

func closeShared(all []*bootstrap.Shared) {
	for _, s := range all {
		if s != nil {
			s.Close()
		}
	}
}

// Host names the host of a rank.
func (c *Cluster) Host(rank int) string { return "h" + strconv.Itoa(rank/c.perHost) }

// Kill loses a rank the way a killed process does: its connections end. Its
// body goes on in this process, with calls that fail. In memory only.
func (c *Cluster) Kill(rank int) { c.net.Kill(rank) }

// Lose tells all other ranks, as their agents would, that a rank is lost.
func (c *Cluster) Lose(rank int, cause string) {
	for i, r := range c.ranks {
		if i != rank {
			r.losses <- bootstrap.Loss{Rank: rank, Host: c.Host(rank), Cause: cause}
		}
	}
}

// Abandon breaks the channel between a rank and its agent.
func (c *Cluster) Abandon(rank int) { close(c.ranks[rank].losses) }

// Delay makes every frame sent from now on take what f says, in order for each
// pair. In memory only.
func (c *Cluster) Delay(f func(from, to int) time.Duration) {
	c.net.Delay(func(from, to int, _ wire.Header) time.Duration { return f(from, to) })
}

// Cut holds back what two ranks send each other until Heal. In memory only.
func (c *Cluster) Cut(a, b int) { c.net.Cut(a, b) }

// Heal ends a Cut.
func (c *Cluster) Heal(a, b int) { c.net.Heal(a, b) }

// Verdict is what a rank reported; ok is false when it has not.
func (c *Cluster) Verdict(rank int) (v bootstrap.Verdict, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.ranks[rank].verdict; p != nil {
		return *p, true
	}
	return v, false
}

// Lines are the record lines of a rank so far.
func (c *Cluster) Lines(rank int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ranks[rank].lines)
}

// Events are the record lines of a rank so far, decoded.
func (c *Cluster) Events(t testing.TB, rank int) []telemetry.Event {
	t.Helper()
	var out []telemetry.Event
	for _, line := range c.Lines(rank) {
		var e telemetry.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("record line %q: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// control is a rank's channel to the test.
type control struct {
	cluster *Cluster
	rank    int
	shares  bool                // set by Run
	losses  chan bootstrap.Loss // has room for every rank

	// guarded by cluster.mu
	lines   []string
	verdict *bootstrap.Verdict
}

// inMemory is a control that tells the runtime to connect in memory.
type inMemory struct{ *control }

// Network is what the runtime asks such a control for.
func (c inMemory) Network() *mem.Net { return c.cluster.net }

func (c *control) Roster(ctx context.Context, self bootstrap.Peer) ([]bootstrap.Peer, error) {
	cl := c.cluster
	if c.shares && self.Shared == "" {
		// It would reach the others over TCP, and the test would be another one.
		return nil, errors.New("has not mapped the memory of its host")
	}
	cl.mu.Lock()
	cl.peers[c.rank] = self
	if cl.told++; cl.told == len(cl.peers) {
		close(cl.all)
	}
	cl.mu.Unlock()
	select {
	case <-cl.all:
		return slices.Clone(cl.peers), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *control) Losses() <-chan bootstrap.Loss { return c.losses }

func (c *control) Record(line []byte) {
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	c.lines = append(c.lines, string(line))
}

func (c *control) Finish(v bootstrap.Verdict) error {
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	c.verdict = &v
	return nil
}
