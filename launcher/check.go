package launcher

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// ShowHosts writes where each rank of the job would go.
func ShowHosts(w io.Writer, job Job) error {
	plan, err := Plan(&job)
	if err != nil {
		return launchFailure(err)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tRANKS\tCOUNT\tBY")
	for i, h := range plan.Hosts {
		by := strings.Join(remoteCommand(job.SSH, h, "")[:len(remoteCommand(job.SSH, h, ""))-1], " ")
		if isLocal(h) {
			by = "pipe"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", h.Name, ranges(plan.On[i]), len(plan.On[i]), by)
	}
	for _, n := range plan.Notes {
		fmt.Fprintf(t, "%s\n", n)
	}
	if job.Bind == BindCore {
		fmt.Fprintln(t, "ranks will be bound to cores")
	}
	return errors.Wrap(t.Flush(), "hosts")
}

// Check tests that the hosts of the job can be reached, can run its program
// (when one is named) and reach one another, and writes what it finds. It
// returns a *Failure when something is wrong.
func Check(ctx context.Context, job Job, std Streams) error {
	plan, err := Plan(&job)
	if err != nil {
		return launchFailure(err)
	}
	program := ""
	if job.Program != "" {
		if program, err = lookProgram(job.Program); err != nil {
			return launchFailure(err)
		}
	}
	log := &logger{on: job.Verbose, out: std.Stderr}
	offer := newOffer(&job, program)
	c := &checker{plan: plan, links: make([]*link, len(plan.Hosts)), errs: make([]error, len(plan.Hosts))}
	defer func() { leave(c.links) }()
	start := time.Now()
	c.all(func(i int) error {
		l, err := startLink(ctx, plan.Hosts[i], i, &job, log)
		if err != nil {
			return err
		}
		c.links[i] = l
		if program != "" {
			_, err = stageProgram(ctx, l, offer, log)
		}
		return err
	})
	took := time.Since(start)
	up := 0
	for i, h := range plan.Hosts {
		if c.errs[i] != nil {
			fmt.Fprintf(std.Stdout, "%s: %v\n", h.Name, c.errs[i])
			continue
		}
		up++
		hello := c.links[i].hello
		fmt.Fprintf(std.Stdout, "%s: ok (%s/%s, %d cores, ranks %s)\n", h.Name, hello.OS, hello.Arch, hello.CPUs, ranges(plan.On[i]))
	}
	bad, err := c.mesh(ctx, &job, std.Stdout)
	if err != nil {
		return launchFailure(err)
	}
	if n := len(plan.Hosts) - up; n > 0 {
		return launchFailure(errors.Errorf("%d of %d hosts can not be used", n, len(plan.Hosts)))
	}
	if bad > 0 {
		return launchFailure(errors.Errorf("%d connections between hosts fail", bad))
	}
	fmt.Fprintf(std.Stdout, "all %d hosts are usable and reach one another (%.1f s)\n", up, took.Seconds())
	return nil
}

// checker tests hosts at the same time.
type checker struct {
	plan  *Layout
	links []*link
	errs  []error
}

// all calls f for every host that has not failed yet.
func (c *checker) all(f func(i int) error) {
	turn := make(chan struct{}, connectAtOnce)
	var wg sync.WaitGroup
	for i := range c.links {
		if c.errs[i] != nil {
			continue
		}
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			c.errs[i] = f(i)
		})
	}
	wg.Wait()
}

// mesh has every host that is up listen, and all others connect to it.
func (c *checker) mesh(ctx context.Context, job *Job, w io.Writer) (bad int, err error) {
	var up []*link
	for i, l := range c.links {
		if c.errs[i] == nil {
			up = append(up, l)
		}
	}
	if len(up) == 0 {
		return 0, nil
	}
	ips, err := meshAddrs(job, up)
	if err != nil {
		return 0, err
	}
	addrs := make([]string, len(up))
	for i, l := range up {
		l.out.Send(agent.Frame{Kind: agent.Listen, Payload: []byte(ips[i])})
		var answer agent.ListeningInfo
		if err := l.ask(ctx, agent.Listening, &answer); err != nil {
			return 0, errors.WithMessagef(err, "host %s", l.host.Name)
		}
		if answer.Error != "" {
			fmt.Fprintf(w, "%s: can not listen on %s: %s\n", l.host.Name, ips[i], answer.Error)
			bad++
		}
		addrs[i] = answer.Addr
	}
	if bad > 0 {
		return bad, nil
	}
	answers := make([]agent.DialedInfo, len(up))
	errs := make([]error, len(up))
	var wg sync.WaitGroup
	for i, l := range up {
		wg.Go(func() {
			l.out.SendJSON(agent.Dial, 0, agent.DialInfo{Addrs: addrs})
			errs[i] = l.ask(ctx, agent.Dialed, &answers[i])
		})
	}
	wg.Wait()
	for i, l := range up {
		if errs[i] != nil {
			return bad, errors.WithMessagef(errs[i], "host %s", l.host.Name)
		}
		for j, text := range answers[i].Errors {
			if text != "" {
				fmt.Fprintf(w, "%s can not reach %s: %s\n", l.host.Name, up[j].host.Name, text)
				bad++
			}
		}
	}
	return bad, nil
}
