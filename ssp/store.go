package ssp

import (
	"context"
	stderrors "errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/rate"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// space keeps the store's messages apart from all others.
const space = 2

// Store is this rank's part of a parameter store.
type Store struct {
	c          *runtime.Comm
	rank, size int
	cfg        Config
	straggle   bootstrap.Straggle
	data       *runtime.Port // batches, requests, rounds of Sync: handled by the shard
	news       *runtime.Port // pushes: the handler only installs
	start      time.Time
	links      []link // by peer

	crew *crew // until the store is closed
	stop context.CancelFunc

	failOnce sync.Once
	failed   chan struct{} // closed by fail

	recording sync.Mutex   // bytes are sampled and recorded by one at a time: totals never fall
	recorded  atomic.Int64 // when they were last, since start
	failure   error        // good once failed is closed

	mu     sync.Mutex // guards shard to gaveUp; held for one batch or answer
	shard  *shard.Shard[*ask]
	round  round
	over   bool            // all ranks have closed the store
	gaveUp bool            // this rank has tried to close it, in vain
	wakers []chan struct{} // by rank: its pusher has something to look at

	opened atomic.Bool               // all ranks have opened the store
	gone   atomic.Pointer[deserters] // changed with mu

	bounded atomic.Bool   // values of some table have a bound
	prompt  atomic.Bool   // rows of some table are pushed without waiting for pushes before
	spread  chan struct{} // holds one: tellReach has something to look at
	reach   reach

	sending  chan struct{} // holds one: who takes it may send batches
	versions []uint64      // by owner: of the last batch; owned by the sender
	encoders []codec.Encoder
	buffers  [][]byte
	freeing  *freeing          // nil but under FSSP
	backing  *backing          // nil but under Backup
	budget   budget            // of bytes, under Managed
	idler    sync.Once         // starts idle
	packers  []codec.KeyWriter // by owner; nil while no table wants it; owned by the sender
	packing  []bool            // by table: it wants it
	readers  []codec.KeyReader // by sender; owned by the port's goroutine
	spared   atomic.Int64      // bytes of keys that were not sent
	sent     int64             // clock announced to all; owned by the sender
	epoch    uint32            // of the member set; changed by Sync only

	wmu     sync.Mutex    // guards what follows
	clocks  *clock.Vector // of the workers
	workers []*Worker
	begun   int // workers that have been opened in this epoch
	syncAt  Clock
	closed  bool
	tables  []table
	totals  Stats
}

// table is a Table of any element.
type table interface {
	name() string
	policy() Policy
	rows() shard.Table
	encode(from int64, to int64, encs []codec.Encoder) (rows int)
	install(owner int, d *codec.Decoder) error
	told(owner int, h codec.Header)
	reset(epoch uint32, at Clock)
	scan(e *codec.Encoder, from int64, bytes int) int64
	evicted() int64
	filter() Filter
}

// Open opens the store on all ranks of a communicator; it is collective. The
// context bounds the opening, its values and its end reach the goroutines of
// the store, which run until Close.
func Open(ctx context.Context, c *runtime.Comm, cfg Config) (*Store, error) {
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	if cfg.Workers < 0 || cfg.Workers > 1<<16 {
		return nil, errors.Errorf("open store: %d workers", cfg.Workers)
	}
	if cfg.Bandwidth < 0 || cfg.Bandwidth != cfg.Bandwidth {
		return nil, errors.Errorf("open store: bandwidth %v", cfg.Bandwidth)
	}
	if cfg.Prefetch > Aggressive {
		return nil, errors.Errorf("open store: prefetch %d", cfg.Prefetch)
	}
	if cfg.Policy == (Policy{}) {
		cfg.Policy = BSP()
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 256 << 20
	}
	if cfg.LogBytes <= 0 {
		cfg.LogBytes = 256 << 10
	}
	if cfg.Refetch == 0 {
		cfg.Refetch = 65536
	}
	if cfg.Straggle == "" {
		cfg.Straggle = c.Straggle()
	}
	slow, err := bootstrap.ParseStraggle(cfg.Straggle)
	if err != nil {
		return nil, errors.WithMessage(err, "open store")
	}
	n := c.Size()
	if cfg.Policy.kind == backups && int(cfg.Policy.number) >= n {
		return nil, errors.Errorf("open store: policy %v among %d ranks: expected a rank to wait for", cfg.Policy, n)
	}
	s := &Store{
		c: c.Space(space), rank: c.Rank(), size: n, cfg: cfg, straggle: slow, start: time.Now(), links: make([]link, n),
		failed: make(chan struct{}), shard: shard.New[*ask](c.Rank(), n), round: newRound(n),
		wakers: make([]chan struct{}, n), sending: make(chan struct{}, 1), versions: make([]uint64, n),
		encoders: make([]codec.Encoder, n), buffers: make([][]byte, n), readers: make([]codec.KeyReader, n), clocks: clock.NewVector(cfg.Workers),
		totals: newStats(), spread: make(chan struct{}, 1), reach: reach{seen: make([]uint64, n)},
	}
	s.budget.limit = rate.New(cfg.Bandwidth, 0)
	if cfg.Policy.kind == fssp {
		s.freeing = newFreeing(s)
	}
	if cfg.Policy.Drops() {
		s.backing = newBacking(s)
		s.shard.DropLate()
		if cfg.Policy.kind == dbw {
			s.shard.Scale()
		}
	}
	s.gone.Store(&deserters{news: make(chan struct{})})
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.crew = newCrew(life, c.Done())
	if s.data, err = s.c.OpenPort(ctx, "store", s.handle); err != nil {
		stop()
		return nil, errors.WithMessage(err, "open store")
	}
	s.data.OnLeave(s.desert)
	if s.news, err = s.c.OpenPort(ctx, "news", s.hear); err != nil {
		stop()
		return nil, errors.WithMessage(err, "open store")
	}
	for r := range n {
		s.wakers[r] = make(chan struct{}, 1)
		if r != s.rank {
			s.crew.spawn(func(ctx context.Context) { s.push(ctx, r) })
		}
	}
	for i := range cfg.Workers {
		s.workers = append(s.workers, &Worker{
			s: s, index: i, totals: newStats(), gates: make([]time.Duration, n), loss: math.NaN(), line: timeline{rec: c.Recorder(), lane: i},
		})
	}
	setup := []string{counted(cfg.Workers, "worker"), "policy " + cfg.Policy.String(), "filter " + cfg.Filter.String()}
	if _, err := s.meet(ctx, meeting{call: "Open of a store", args: setup}); err != nil {
		stop()
		s.crew.disband()
		return nil, errors.WithMessage(err, "open store")
	}
	s.opened.Store(true)
	if s.backing != nil {
		s.crew.spawn(s.backing.announce)
	}
	if c.Recorder().Enabled() {
		s.crew.spawn(s.beat)
	}
	s.traced("open", s.start)
	return s, nil
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// fail makes everything that waits in the store end with err.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = err
		close(s.failed)
	})
}

// wait waits for a channel, or for what ends all waiting.
func (s *Store) wait(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.c.Done():
		return s.c.Err()
	case <-s.failed:
		return s.failure
	}
}

// Close ends the store on all ranks; it is collective, and called outside Work.
// Updates that were not handed over by Clock are, as by Sync. When it fails, this
// rank takes no further part in the store: what the others call together fails
// too, with an error that matches runtime.ErrClosed, or runtime.ErrLeft once the
// rank has left; goroutines of the store that serve them run until the job ends.
func (s *Store) Close(ctx context.Context) error {
	s.wmu.Lock()
	if s.closed {
		s.wmu.Unlock()
		return nil
	}
	s.closed = true
	s.wmu.Unlock()
	defer s.traced("close", time.Now())
	const call = "Close of the store"
	err := s.settle(ctx, call)
	if err == nil {
		s.stop()
		s.crew.disband()
		_, err = s.meet(ctx, meeting{last: true, call: call})
	}
	if err != nil {
		// Others may work on: what serves them does so until the job ends.
		s.mu.Lock()
		s.gaveUp = true
		e := s.endRound(codec.Header{Branch: closed, Last: s.rank + 1}, "")
		s.mu.Unlock()
		if e != nil {
			err = stderrors.Join(err, e)
		}
		s.record()
		return errors.WithMessage(err, "close store")
	}
	for _, p := range []*runtime.Port{s.data, s.news} {
		if e := p.Close(ctx); err == nil {
			err = e
		}
	}
	s.record() // all that it has sent
	return errors.WithMessage(err, "close store")
}
