package runtime

import (
	"context"
	stderrors "errors"
	"log/slog"
	"os"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/emulate"
	"github.com/sspurn/sspurn/runtime/internal/transport/mem"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

const (
	joinLimit   = 60 * time.Second       // for joining, unless Config says otherwise
	farewell    = 5 * time.Second        // for the last frames to leave
	revokeLimit = 250 * time.Millisecond // for the peers to hear of a failure
)

// Config says how to join a job. bootstrap.FromEnv finds it.
type Config bootstrap.Config

// Run joins the job that this process was started for, calls body with the
// communicator of all ranks, and leaves. A process that no launcher started is
// a job of one rank.
//
// The context of body ends, with a cause, when the job does: when ctx ends,
// when a rank is lost, when a body fails. Run returns when the bodies of all
// ranks have returned; ports serve until then. An error or a panic of body
// ends the whole job: calls at the other ranks fail with a *RankError, and Run
// fails at every rank. Requests must have ended when body returns, and no
// goroutine may use the communicator any more. Warnings, such as of strangers
// that tried to connect, and the stack of a panic (of an error with a method
// Stack() []byte) go to standard error.
//
// All ranks call Run within a minute: one that has waited so long for the others
// to call it returns an error, which ends the job.
//
// The launcher hands an interrupt (Ctrl-C) on to the ranks, and sends SIGTERM at
// its -timeout and when another rank has failed. Those end a Go program at once,
// and body's context does not end by them: a program that has to clean up passes
// a ctx of [signal.NotifyContext] for os.Interrupt and syscall.SIGTERM. It has ten
// seconds to end then, one after a failure, or what -grace says.
//
// sspurn compare starts the program once for each setting before the first run, to
// hear what it thinks of its arguments: what stands before Run is done then, and Run
// returns an error at once. One that finds a mistake in them should say so in the
// first line of its standard error and exit with a status before it calls Run.
func Run(ctx context.Context, body func(context.Context, *Comm) error) error {
	cfg, err := bootstrap.FromEnv(os.LookupEnv)
	if err != nil {
		return errors.WithMessage(err, "join")
	}
	// The launcher carries a rank's standard error to the user.
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err = Config(cfg).Run(ctx, body)
	if p, ok := stderrors.AsType[panicked](err); ok {
		os.Stderr.Write(p.Stack())
	}
	return err
}

// panicked is an error made of a panic, here or in a library above: its text has
// one line, which all ranks get to see.
type panicked interface {
	error
	Stack() []byte
}

// Run is Run for a job that the caller knows how to join.
func (cfg Config) Run(ctx context.Context, body func(context.Context, *Comm) error) error {
	err := cfg.run(ctx, body)
	if cfg.Control == nil {
		return err
	}
	told := errors.WithMessage(cfg.Control.Finish(verdict(cfg.Rank, err)), "report the end to the launcher")
	if err == nil {
		return told
	}
	return err
}

// verdict is what the launcher is told of the end of this rank.
func verdict(rank int, err error) bootstrap.Verdict {
	if err == nil {
		return bootstrap.Verdict{OK: true}
	}
	v := bootstrap.Verdict{Cause: err.Error()}
	if lost, ok := stderrors.AsType[*RankError](err); ok && lost.Rank != rank {
		v.Secondary, v.Lost = true, lost.Rank
	}
	return v
}

func (cfg Config) run(ctx context.Context, body func(context.Context, *Comm) error) error {
	if cfg.Size < 1 || cfg.Rank < 0 || cfg.Rank >= cfg.Size {
		return errors.Errorf("join: rank %d of %d", cfg.Rank, cfg.Size)
	}
	slow, err := bootstrap.ParseEmulation(cfg.Emulate)
	if err == nil {
		err = slow.Validate(cfg.Size)
	}
	if err != nil {
		return errors.WithMessage(err, "join")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Control != nil && goruntime.GOMAXPROCS(0) < 2 {
		goruntime.GOMAXPROCS(2) // one for the service goroutine while another computes
	}
	e := newEngine(cfg.Rank, make([]string, cfg.Size), log.With("rank", cfg.Rank))
	e.hosts[cfg.Rank] = cfg.Host
	e.straggle = cfg.Straggle
	if cfg.OnDemand {
		e.tree = transport.AppendTree([]int{}, cfg.Rank, cfg.Size)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.cancel = cancel
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(e.stopped)
	if cfg.Control != nil {
		if cfg.Record != bootstrap.RecordOff {
			e.recorder = telemetry.NewRecorder(cfg.Rank, time.Now(), cfg.Control.Record)
			e.recorder.SetTracing(cfg.Record == bootstrap.RecordTrace)
			defer e.recorder.Flush() // of spans that libraries have traced last
			if _, local := cfg.Control.(inProcess); !local {
				e.recorder.Describe()
			}
		}
		watch.Go(func() { e.watch(cfg.Control.Losses()) })
		if cfg.Stall > 0 {
			e.parkers.on = true
			to := telemetry.NewRecorder(cfg.Rank, time.Now(), cfg.Control.Record)
			watch.Go(func() { e.reportStalls(cfg.Stall, to) })
		}
	}
	t, err := cfg.join(ctx, e, slow)
	if err != nil {
		return errors.WithMessagef(err, "join: rank %d of %d on host %s", cfg.Rank, cfg.Size, cfg.Host)
	}
	if cfg.Emulate != "" {
		network := emulate.Wrap(t, slow, cfg.Rank, cfg.Size)
		t, e.lag = network, network.Lag
	}
	return e.run(ctx, t, body)
}

// inProcess is a Control of a test, whose ranks are connected in memory.
type inProcess interface{ Network() *mem.Net }

// join connects the rank with its peers.
func (cfg Config) join(ctx context.Context, e *engine, slow bootstrap.Emulation) (transport.Transport, error) {
	memory := cfg.share(e.log)
	t, err := cfg.connect(ctx, e, slow, memory)
	if err != nil && memory != nil {
		err = stderrors.Join(err, memory.Close())
	}
	return t, err
}

// connect is join with what the rank shares with others of its host.
func (cfg Config) connect(ctx context.Context, e *engine, slow bootstrap.Emulation, memory segment) (transport.Transport, error) {
	self := bootstrap.Peer{Rank: cfg.Rank, Host: cfg.Host, Cores: cfg.Cores}
	if cfg.Emulate != "" {
		self.Cores = 0 // messages take the time of the network, not of the cores
	}
	if local, ok := cfg.Control.(inProcess); ok {
		if _, err := cfg.meet(ctx, e, self); err != nil {
			return nil, err
		}
		return local.Network().Join(cfg.Rank, e), nil
	}
	if cfg.Size == 1 {
		// Nobody to connect with, but a launcher waits for all to have told.
		if cfg.Control != nil {
			if _, err := cfg.meet(ctx, e, self); err != nil {
				return nil, err
			}
		}
		return mem.New(1).Join(0, e), nil
	}
	if cfg.Control == nil {
		return nil, errors.New("no launcher to learn the other ranks' addresses from")
	}
	limit := cfg.Join
	if limit <= 0 {
		limit = joinLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.Errorf("not complete after %v", limit))
	defer cancel()
	l, err := tcp.Listen(tcp.Config{
		Job: cfg.Job, Rank: cfg.Rank, Size: cfg.Size, Secret: cfg.Secret,
		Listen: cfg.Listen, Ports: cfg.Ports, HostRanks: cfg.HostRanks, HostCores: cfg.Cores,
		Late: limit, Logger: e.log, OnDemand: cfg.late(),
	})
	if err != nil {
		return nil, err
	}
	self.Addr = l.Addr()
	if memory != nil {
		self.Shared, self.Slot = cfg.Shared.ID, cfg.Shared.Slot
	}
	roster, err := cfg.meet(ctx, e, self)
	if err != nil {
		return nil, stderrors.Join(err, l.Close())
	}
	slots, some := near(roster, self, slow)
	addrs := make([]string, cfg.Size)
	for i, p := range roster {
		if slots[i] < 0 {
			addrs[i] = p.Addr
		}
	}
	mesh, err := l.Mesh(ctx, addrs, e)
	switch {
	case err != nil:
		return nil, err
	case some:
		return memory.join(slots, mesh, e)
	case memory != nil:
		return mesh, memory.Close()
	}
	return mesh, nil
}

// late says which connections are made when they are first used.
func (cfg Config) late() tcp.OnDemand {
	if !cfg.OnDemand {
		return nil
	}
	return func(peer int) bool { return !transport.InTree(cfg.Rank, peer) }
}

// meet tells where this rank is and learns where the others are.
func (cfg Config) meet(ctx context.Context, e *engine, self bootstrap.Peer) ([]bootstrap.Peer, error) {
	roster, err := cfg.Control.Roster(ctx, self)
	if err != nil {
		return nil, errors.WithMessage(err, "roster")
	}
	if len(roster) != cfg.Size {
		return nil, errors.Errorf("roster: %d ranks of %d", len(roster), cfg.Size)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range roster {
		if p.Rank != i {
			return nil, errors.Errorf("roster: rank %d in the place of %d", p.Rank, i)
		}
		e.hosts[i], e.cores[i] = p.Host, p.Cores
	}
	e.homes = homes(e.hosts, e.cores)
	e.findHome()
	return roster, nil
}

// watch takes the launcher's word that ranks are lost, until the engine ends.
func (e *engine) watch(losses <-chan bootstrap.Loss) {
	for {
		select {
		case l, ok := <-losses:
			e.mu.Lock()
			for e.t != nil && !e.closed && e.t.Poll(-1) { // what the rank has said is here, maybe
			}
			if !ok {
				e.over(ErrJobOver)
			} else if l.Rank >= 0 && l.Rank < e.size && l.Rank != e.rank && (!e.peers[l.Rank].gone || e.missed(l.Rank)) {
				e.passRevoke(&revocation{encodeCause(l.Rank, l.Cause), e.rank})
				e.lose(l.Rank, remoteError(l.Cause))
			}
			e.mu.Unlock()
			if !ok {
				return
			}
		case <-e.stopped:
			return
		}
	}
}

// run is the life of a rank that has joined.
func (e *engine) run(ctx context.Context, t transport.Transport, body func(context.Context, *Comm) error) error {
	e.mu.Lock()
	e.t = t
	e.budget = t.PollBudget()
	world := &Comm{e: e, group: e.groups[0]}
	e.mu.Unlock()
	quit := make(chan struct{})
	var service sync.WaitGroup
	service.Go(func() { e.service(quit) })

	err := e.call(ctx, world, body)
	if err == nil {
		err = e.depart(ctx)
	}
	if err != nil {
		err = e.fall(err)
	}

	close(quit)
	t.Wake()
	service.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.endDroughts()
	closed := errors.WithMessage(t.Close(), "leave")
	if err == nil {
		err = closed
	}
	return err
}

// call runs the body, on a goroutine of its own so that one that ends its
// goroutine ends the job like one that panics.
func (e *engine) call(ctx context.Context, world *Comm, body func(context.Context, *Comm) error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.WithMessage(errExited, "body")
		defer func() { done <- err }()
		defer recovered(&err)
		err = body(ctx, world)
	}()
	return <-done
}

// RunLocal runs a job of n ranks in this process, on goroutines, connected in
// memory, and returns what the ranks that failed by themselves returned, in
// rank order; a rank that failed because of another is not listed. Jobs do not
// see each other.
func RunLocal(ctx context.Context, n int, body func(context.Context, *Comm) error) error {
	if n < 1 {
		return errors.Errorf("job of %d ranks", n)
	}
	net := mem.New(n)
	engines := make([]*engine, n)
	transports := make([]transport.Transport, n)
	for rank := range n {
		hosts := make([]string, n)
		for i := range hosts {
			hosts[i] = "localhost"
		}
		engines[rank] = newEngine(rank, hosts, slog.New(slog.DiscardHandler))
		transports[rank] = net.Join(rank, engines[rank])
	}
	errs := make([]error, n)
	var ranks sync.WaitGroup
	for rank, e := range engines {
		ranks.Go(func() {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			e.cancel = cancel
			defer close(e.stopped)
			errs[rank] = e.run(ctx, transports[rank], body)
		})
	}
	ranks.Wait()
	return primary(errs)
}

// primary joins the errors of the ranks of a job, by rank, without those that
// say only that another rank was lost; all of them when there is no other.
func primary(errs []error) error {
	var own []error
	for rank, err := range errs {
		if err == nil {
			continue
		}
		if v := verdict(rank, err); !v.Secondary {
			own = append(own, errors.WithMessagef(err, "rank %d", rank))
		}
	}
	if own == nil {
		return stderrors.Join(errs...)
	}
	return stderrors.Join(own...)
}
