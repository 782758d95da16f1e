package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
)

// run measures all points on one rank.
type run struct {
	cfg    *config
	job    *apps.Job
	points []point
	budget budget
	out    io.Writer // of rank 0, as long as there is no -out

	mu   sync.Mutex
	text bytes.Buffer // for -out; guarded by mu
}

func newRun(cfg *config, job *apps.Job, points []point) *run {
	r := &run{cfg: cfg, job: job, points: points, budget: budget{warmup: cfg.warmup, time: cfg.time, iters: cfg.iters}}
	r.out = job.Stdout()
	if job.Out != "" {
		r.out = &r.text
	}
	return r
}

func (r *run) run(ctx context.Context) error {
	if r.job.Comm.Rank() == 0 && r.job.Out != "" {
		defer r.saveWhenInterrupted()()
	}
	if err := r.write(func(w io.Writer) error { return writeHead(w, r.cfg.format) }); err != nil {
		return err
	}
	var all []figures
	start, total := time.Now(), len(r.points)*r.cfg.count
	told := start
	each := r.budget.warmup + r.budget.time
	for i := range total {
		p := r.points[i%len(r.points)]
		if left := time.Duration(total-i) * each; i == 0 && left > r.cfg.patience || time.Since(told) > r.cfg.patience {
			told = time.Now()
			if i > 0 {
				left = time.Since(start) / time.Duration(i) * time.Duration(total-i)
			}
			r.job.Logf("[%d/%d, about %.0f s left] %s of %d bytes", i+1, total, left.Seconds(), p.name, p.size)
		}
		f, err := r.measure(ctx, p)
		if err != nil {
			return errors.WithMessagef(err, "%s of %d bytes", p.name, p.size)
		}
		all = append(all, f)
		if err := r.write(func(w io.Writer) error { return f.write(w, r.cfg.format) }); err != nil {
			return err
		}
	}
	if err := r.save(); err != nil {
		return err
	}
	return r.job.Finish(result(r.job.App, r.job.Comm.Size(), all, time.Since(start).Seconds()))
}

// measure measures a point; only rank 0 gets figures. It is collective.
func (r *run) measure(ctx context.Context, p point) (figures, error) {
	t, err := p.start(ctx, env{r.job.Comm, p.size})
	if err != nil {
		return figures{}, err
	}
	samples, err := measure(ctx, r.job.Comm, t, r.budget)
	if err != nil {
		return figures{}, err
	}
	if t.close != nil {
		if err := t.close(ctx); err != nil {
			return figures{}, err
		}
	}
	return summarize(p, r.job.Comm.Size(), t.flow, samples), nil
}

// write writes to where the figures go, on rank 0.
func (r *run) write(what func(w io.Writer) error) error {
	if r.job.Comm.Rank() != 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Wrap(what(r.out), "write the figures")
}

// save writes the file of -out, on rank 0.
func (r *run) save() error {
	if r.job.Comm.Rank() != 0 || r.job.Out == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return apps.WriteFile(r.job.Out, func(w io.Writer) error {
		_, err := w.Write(r.text.Bytes())
		return err
	})
}

// saveWhenInterrupted keeps what has been measured when a signal ends the
// process, until the function that it returns is called.
func (r *run) saveWhenInterrupted() (done func()) {
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-over:
		case s := <-signals:
			if err := r.save(); err != nil {
				r.job.Logf("%v", err)
			}
			signal.Reset(s) // and now as if nobody had listened
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Signal(s) // a process can always signal itself
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(over)
		wg.Wait()
	}
}
