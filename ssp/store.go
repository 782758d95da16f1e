package ssp

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// space keeps the store's messages apart from all others.
const space = 2

// Config says how a store works. The zero value is usable. Workers and Policy
// must be the same on every rank.
type Config struct {
	Workers int    // workers of each rank; default 1
	Policy  Policy // of tables that have none of their own; default BSP

	// CacheBytes bounds the copies of other ranks' rows that a rank keeps, for
	// each table; default 256 MiB. Copies that workers wait for stay beyond it.
	CacheBytes int
	// LogBytes bounds the updates of a worker to a table without bound (Async)
	// that their owners have not acknowledged; Clock waits there. Those of the
	// last four clocks do not count. Default 256 KiB: more lets a worker outrun the
	// others without need where ranks share processors.
	LogBytes int
	// Refetch is how many rows, at most, a worker asks for again along with the
	// first row that it misses in a clock: those that it used in the clock before
	// and whose copies are too old now. It turns a round trip a row into one a
	// clock, and asks for rows that may not be needed. Default 65536; negative
	// for none, so that exactly the rows that are read are fetched.
	Refetch int

	// Straggle slows workers down, as bootstrap.ParseStraggle describes; default what
	// the launcher was told. Seed makes its random delays.
	Straggle string
	Seed     uint64

	// Access, when not nil, is told of every access before it returns, on the
	// worker's goroutine.
	Access func(Access)
}

// Access is one use of a row by a worker.
type Access struct {
	Worker int // index on this rank
	Clock  Clock
	Table  string
	Row    int64
	Kind   AccessKind
	Age    Clock // of the copy that was read; 0 for Update
}

// AccessKind says how a row was used.
type AccessKind uint8

// The kinds of accesses.
const (
	Read AccessKind = iota + 1
	Write
	Update
)

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

	spawn func(func(ctx context.Context)) // runs until the store is closed
	stop  context.CancelFunc
	wg    sync.WaitGroup

	failOnce sync.Once
	failed   chan struct{} // closed by fail
	failure  error         // good once failed is closed

	mu     sync.Mutex // guards shard and round; held for one batch or answer
	shard  *shard.Shard[*ask]
	round  round
	wakers []chan struct{} // by rank: its pusher has something to look at

	sending  chan struct{} // holds one: who takes it may send batches
	versions []uint64      // by owner: of the last batch; owned by the sender
	encoders []codec.Encoder
	buffers  [][]byte
	sent     int64  // clock announced to all; owned by the sender
	epoch    uint32 // of the member set; changed by Sync only

	wmu     sync.Mutex    // guards what follows
	clocks  *clock.Vector // of the workers
	workers []*Worker
	opened  int // workers that have been opened in this epoch
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
	fingerprint() uint64
	evicted() int64
}

// ask is a request that waits at the shard.
type ask struct {
	m     *runtime.Message // of another rank
	msg   []byte
	since time.Time
	wake  chan struct{} // of a worker of this rank
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
	s := &Store{
		c: c.Space(space), rank: c.Rank(), size: n, cfg: cfg, straggle: slow, start: time.Now(), links: make([]link, n),
		failed: make(chan struct{}), shard: shard.New[*ask](c.Rank(), n), round: newRound(n),
		wakers: make([]chan struct{}, n), sending: make(chan struct{}, 1), versions: make([]uint64, n),
		encoders: make([]codec.Encoder, n), buffers: make([][]byte, n), clocks: clock.NewVector(cfg.Workers),
		totals: newStats(),
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.spawn = func(f func(context.Context)) { s.wg.Go(func() { f(life) }) }
	if s.data, err = s.c.OpenPort(ctx, "store", s.handle); err != nil {
		stop()
		return nil, errors.WithMessage(err, "open store")
	}
	if s.news, err = s.c.OpenPort(ctx, "news", s.hear); err != nil {
		stop()
		return nil, errors.WithMessage(err, "open store")
	}
	for r := range n {
		s.wakers[r] = make(chan struct{}, 1)
		if r != s.rank {
			s.spawn(func(ctx context.Context) { s.push(ctx, r) })
		}
	}
	for i := range cfg.Workers {
		s.workers = append(s.workers, &Worker{s: s, index: i, totals: newStats()})
	}
	setup := uint64(cfg.Workers)<<32 | uint64(cfg.Policy.kind)<<56 ^ uint64(cfg.Policy.staleness)
	if _, err := s.meet(ctx, meeting{mark: setup}); err != nil {
		stop()
		s.wg.Wait()
		return nil, errors.WithMessage(err, "open store")
	}
	return s, nil
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

// handle serves the shard's port.
func (s *Store) handle(m *runtime.Message) {
	if err := s.serve(m); err != nil {
		s.fail(errors.WithMessagef(err, "shard of rank %d: message from rank %d", s.rank, m.Source))
	}
}

// unfoldLimit bounds what a compressed message unfolds to.
const unfoldLimit = 1 << 30

func (s *Store) serve(m *runtime.Message) error {
	msg, err := codec.Open(nil, m.Payload, unfoldLimit)
	if err != nil {
		return err
	}
	if !m.Wanted() {
		return s.apply(m.Source, msg)
	}
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	switch h := d.Header(); {
	case h.Kind == codec.Ack:
		return s.arrive(m.Source, meeting{at: Clock(h.Clock), mark: h.ID, reset: h.Flags&codec.Ticks != 0}, func(b []byte) error { return m.Reply(b) })
	case h.Kind == codec.Request && h.Flags&codec.More != 0:
		return s.answerScan(m, &d)
	}
	at, err := shard.Wanted(msg)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.shard.Min() < at {
		s.shard.Park(at, &ask{m: m, msg: append([]byte(nil), msg...), since: time.Now()})
		s.mu.Unlock()
		return nil
	}
	out, err := s.shard.Answer(nil, m.Source, msg, false)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.reply(m, out, 0)
}

// reply sends an answer to a request. The microseconds that it has waited for
// the clock come first: they say nothing about the link.
func (s *Store) reply(m *runtime.Message, out []byte, waited time.Duration) error {
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(waited.Microseconds()))
	l := &s.links[m.Source]
	out = l.squeeze(out)
	l.fetches.Add(int64(n + len(out)))
	return m.Reply(head[:n], out)
}

// apply applies a batch to the shard and tells who waited for it.
func (s *Store) apply(rank int, msg []byte) error {
	s.mu.Lock()
	rose, push, err := s.shard.Batch(rank, msg)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	ready, err := s.release(rose)
	s.mu.Unlock()
	if push {
		s.wakePushers()
	}
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

// answer is one on its way.
type answer struct {
	a   *ask
	out []byte
}

// release makes the answers to the requests that the minimum serves now, with
// s.mu, which is not held while they are compressed and sent.
func (s *Store) release(rose bool) (ready []answer, err error) {
	for rose {
		a, ok := s.shard.Release()
		if !ok {
			break
		}
		if a.wake != nil {
			close(a.wake)
			continue
		}
		out, err := s.shard.Answer(nil, a.m.Source, a.msg, true)
		if err != nil {
			return nil, err
		}
		ready = append(ready, answer{a, out})
	}
	return ready, nil
}

func (s *Store) replyAll(ready []answer) error {
	for _, r := range ready {
		if err := s.reply(r.a.m, r.out, time.Since(r.a.since)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) wakePushers() {
	for r, w := range s.wakers {
		if r == s.rank {
			continue
		}
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// push tells a subscriber what is new, one message at a time, until the store
// is closed.
func (s *Store) push(ctx context.Context, rank int) {
	var buf []byte
	for {
		select {
		case <-s.wakers[rank]:
		case <-ctx.Done():
			return
		case <-s.c.Done():
			return
		}
		s.mu.Lock()
		out, ok := s.shard.Push(buf[:0], rank)
		s.mu.Unlock()
		if !ok {
			continue
		}
		buf = out
		msg := s.links[rank].squeeze(out)
		s.links[rank].pushed.Add(int64(len(msg)))
		start := time.Now()
		_, err := s.news.Call(ctx, rank, msg)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.fail(errors.WithMessagef(err, "push to rank %d", rank))
			return
		}
		s.links[rank].took(len(msg), time.Since(start))
		select { // more may have come meanwhile
		case s.wakers[rank] <- struct{}{}:
		default:
		}
	}
}

// hear installs a push.
func (s *Store) hear(m *runtime.Message) {
	err := s.install(m.Source, m.Payload, -1)
	if err == nil {
		err = m.Reply()
	}
	if err != nil {
		s.fail(errors.WithMessagef(err, "push from rank %d", m.Source))
	}
}

// install takes rows of an owner: a push, or an answer for the only table.
func (s *Store) install(owner int, payload []byte, only int) error {
	msg, err := codec.Open(nil, payload, unfoldLimit)
	if err != nil {
		return err
	}
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	s.wmu.Lock()
	tables := s.tables
	s.wmu.Unlock()
	for d.NextTable() {
		n := int(d.Block().Table)
		if n >= len(tables) || only >= 0 && n != only {
			return errors.Errorf("rows of table %d", n)
		}
		if err := tables[n].install(owner, &d); err != nil {
			return err
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if h := d.Header(); h.Flags&codec.Push != 0 {
		for _, t := range tables {
			if t.policy().pushes() {
				t.told(owner, h)
			}
		}
	}
	return nil
}

// Close ends the store on all ranks; it is collective, and called outside Work.
// Updates that were not handed over by Clock are, as by Sync.
func (s *Store) Close(ctx context.Context) error {
	s.wmu.Lock()
	if s.closed {
		s.wmu.Unlock()
		return nil
	}
	s.closed = true
	s.wmu.Unlock()
	err := s.settle(ctx)
	s.stop()
	s.wg.Wait()
	if err == nil {
		_, err = s.meet(ctx, meeting{mark: markClose})
	}
	for _, p := range []*runtime.Port{s.data, s.news} {
		if e := p.Close(ctx); err == nil {
			err = e
		}
	}
	return errors.WithMessage(err, "close store")
}
