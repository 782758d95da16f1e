package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// TestAlone: a program that no launcher started is a job of one rank.
func TestAlone(t *testing.T) {
	t.Setenv("SSPURN_CONTROL", "")
	ran := false
	err := runtime.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		ran = true
		if c.Rank() != 0 || c.Size() != 1 || c.Name() != "world" || c.Host(0) == "" {
			return fmt.Errorf("rank %d of %d of %s on %q", c.Rank(), c.Size(), c.Name(), c.Host(0))
		}
		c.Recorder().Record(telemetry.Event{Kind: "note"}) // goes nowhere
		return nil
	})
	if err != nil || !ran {
		t.Errorf("ran %v, %v", ran, err)
	}
}

func TestBadConfig(t *testing.T) {
	body := func(context.Context, *runtime.Comm) error { panic("ran") }
	for _, test := range []struct {
		cfg  runtime.Config
		want string
	}{
		{runtime.Config{}, "rank 0 of 0"},
		{runtime.Config{Rank: 3, Size: 3}, "rank 3 of 3"},
		{runtime.Config{Size: 2}, "no launcher"},
		{runtime.Config{Size: 1, Emulate: "delay=x"}, "emulate"},
		{runtime.Config{Size: 1, Emulate: "delay=1ms,pairs=0-1"}, "rank 1 does not exist"},
	} {
		err := test.cfg.Run(t.Context(), body)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %s", test.cfg, err, test.want)
		}
	}
}

// TestCoresOfEmulation: on an emulated network ranks stand for hosts that are not
// there.
func TestCoresOfEmulation(t *testing.T) {
	cl := runtimetest.NewTCPCluster(2)
	cl.Edit = func(cfg *runtime.Config) { cfg.Cores, cfg.Emulate = 2, "delay=10us" }
	err := runtimetest.Primary(cl.Run(t.Context(), func(_ context.Context, c *runtime.Comm) error {
		if c.Cores(0) != 0 || c.Cores(1) != 0 {
			return fmt.Errorf("cores %d, %d", c.Cores(0), c.Cores(1))
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// TestJob checks what a rank gets from its launcher and what it gives back.
func TestJob(t *testing.T) {
	for _, network := range networks {
		cl := network.New(3)
		cl.Edit = func(cfg *runtime.Config) { cfg.Straggle, cfg.Cores = "rotate,delay=2ms", 10*cfg.Rank }
		errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			if c.Host(2) != cl.Host(2) || c.Straggle() != "rotate,delay=2ms" {
				return fmt.Errorf("host %q, straggle %q", c.Host(2), c.Straggle())
			}
			if c.Cores(0) != 0 || c.Cores(1) != 10 || c.Cores(2) != 20 {
				return fmt.Errorf("cores %d, %d, %d", c.Cores(0), c.Cores(1), c.Cores(2))
			}
			before, _ := c.Traffic()
			if err := runtime.Send(ctx, c, (c.Rank()+1)%3, 0, make([]float64, 1000)); err != nil {
				return err
			}
			if _, err := runtime.Recv(ctx, c, (c.Rank()+2)%3, 0, make([]float64, 1000)); err != nil {
				return err
			}
			sent, received := c.Traffic()
			if sent-before < 8000 || sent-before > 8200 || received < 8000 {
				return fmt.Errorf("traffic %d, %d", sent-before, received)
			}
			to := c.TrafficTo()
			if len(to) != 3 || to[c.Rank()] != 0 || to[0]+to[1]+to[2] < sent || to[(c.Rank()+1)%3] < 8000 || to[(c.Rank()+2)%3] > 200 {
				return fmt.Errorf("traffic %v, %d in all", to, sent)
			}
			c.Recorder().Record(telemetry.Event{Kind: "note", Text: "hello"})
			return nil
		})
		if err := stderrors.Join(errs...); err != nil {
			t.Error(err)
		}
		for rank := range 3 {
			if v, ok := cl.Verdict(rank); !ok || !v.OK {
				t.Errorf("rank %d: verdict %+v", rank, v)
			}
			lines := slices.DeleteFunc(cl.Lines(rank), func(l string) bool { return !strings.Contains(l, `"ev":"note"`) })
			if len(lines) != 1 || !strings.Contains(lines[0], `"hello"`) || !strings.Contains(lines[0], fmt.Sprintf(`"rank":%d`, rank)) {
				t.Errorf("rank %d: lines %q", rank, lines)
			}
		}
	}
}
