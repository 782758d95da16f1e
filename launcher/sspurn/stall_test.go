package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// stallMain is a program whose ranks 0 and 1 wait: for one another, or rank 0 for
// rank 1 and that one for a signal, after which it may send and both stay.
func stallMain(cfg bootstrap.Config, what string) int {
	err := runtime.Config(cfg).Run(context.Background(), func(ctx context.Context, c *runtime.Comm) error {
		if what == "late" {
			asked, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
			defer stop()
			var err error
			if c.Rank() == 0 {
				_, err = runtime.Recv(ctx, c, 1, 5, make([]int8, 1))
			} else {
				<-asked.Done()
				err = runtime.Send(ctx, c, 0, 5, make([]int8, 1))
			}
			if err == nil {
				<-ctx.Done()
			}
			return err
		}
		if c.Rank() == 1 && what == "slow" {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		_, err := runtime.Recv(ctx, c, 1-c.Rank(), runtime.Tag(5+2*c.Rank()), make([]int8, 1))
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestStall: what ranks wait for reaches the terminal, with and without a record,
// and nothing is told when it is not wanted.
func TestStall(t *testing.T) {
	host := hostname(t)
	for _, test := range []struct {
		name string
		args []string
		text string
	}{
		{"late", []string{"-stall", "200ms", "-grace", "1s", "RANK", "stall", "late"}, "waits in recv from rank 1 on world, tag 5"},
		{"deadlock", []string{"-stall", "200ms", "RANK", "stall", "dead"},
			"sspurn: deadlock: rank 0 on " + host + " waits in recv from rank 1 on world, tag 5, rank 1 on " + host + " waits in recv from rank 0 on world, tag 7"},
		{"slow", []string{"-stall", "200ms", "-record", "off", "RANK", "stall", "slow"},
			"waits in recv from rank 1 on world, tag 5; missing: rank 1 on " + host + ", computing, or in calls that end soon"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, nil, append([]string{"-n", "2"}, test.args...)...)
			l.until(&l.stderr, test.text)
			if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			l.expect(143)
			if strings.Contains(l.stderr.String(), "the record of the run is in") {
				t.Errorf("what ranks wait for is recorded; stderr:\n%s", l.stderr.String())
			}
			if strings.Contains(l.stderr.String(), "the job goes on") {
				t.Errorf("a job that is ended goes on; stderr:\n%s", l.stderr.String())
			}
		})
	}
}
