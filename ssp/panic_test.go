package ssp_test

import (
	"context"
	stderrors "errors"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// TestWorkerPanic: the error of a worker that panics is one line, here and at the
// other ranks, which names the worker; the stack is beside it.
func TestWorkerPanic(t *testing.T) {
	cause := stderrors.New("out of luck")
	told := make([]error, 3)
	var opened sync.WaitGroup
	opened.Add(3)
	err := runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
		s, err := open(ctx, c, ssp.Config{Workers: 3})
		if err != nil {
			return err
		}
		opened.Done()
		opened.Wait() // or the panic ends what others do before their work
		err = s.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			if c.Rank() == 1 && w.Index() == 2 {
				panic(cause)
			}
			if c.Rank() == 1 {
				return nil
			}
			x := make([]int64, 2)
			for {
				if err := s.table.View(w).Get(ctx, 1, x); err != nil {
					return err
				}
				if err := w.Clock(ctx); err != nil {
					return err
				}
			}
		})
		told[c.Rank()] = err
		return err
	})
	if err == nil || err.Error() != "rank 1: panic in worker 2: out of luck" {
		t.Errorf("the job ends with %v", err)
	}
	for rank, err := range told {
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasSuffix(err.Error(), "panic in worker 2: out of luck") {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
	if !errors.Is(told[1], cause) {
		t.Errorf("%v does not match what the worker panicked with", told[1])
	}
	p, ok := stderrors.AsType[interface {
		error
		Stack() []byte
	}](err)
	if !ok || !strings.Contains(string(p.Stack()), "TestWorkerPanic") {
		t.Errorf("the stack for runtime.Run: %v", p)
	}
}
