//go:build linux

package testbed

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// connect makes the bridge in the launcher's host and a cable from it to every
// host.
func (t *Testbed) connect(ctx context.Context) error {
	t.bindLinks()
	var b strings.Builder
	fmt.Fprintln(&b, "link add br0 type bridge")
	fmt.Fprintln(&b, "link set lo up")
	fmt.Fprintln(&b, "link set br0 up")
	fmt.Fprintf(&b, "addr add %s%s dev br0\n", t.launcher.Addr, prefixBits)
	for _, h := range t.hosts {
		fmt.Fprintf(&b, "link add %s type veth peer name eth0 netns %d\n", h.link, h.Init.PID)
		fmt.Fprintf(&b, "link set %s master br0\n", h.link)
		fmt.Fprintf(&b, "link set %s up\n", h.link)
	}
	if err := t.launcher.ip(ctx, b.String()); err != nil {
		return err
	}
	for _, h := range t.hosts {
		lines := fmt.Sprintf("link set lo up\naddr add %s%s dev eth0\nlink set eth0 up\n", h.Addr, prefixBits)
		if err := h.ip(ctx, lines); err != nil {
			return err
		}
	}
	return nil
}

// Cut pulls the host's cable: nothing that is sent gets through, and nobody is
// told.
func (h *Host) Cut(ctx context.Context) error { return h.setLink(ctx, "down") }

// Mend plugs the cable in again.
func (h *Host) Mend(ctx context.Context) error { return h.setLink(ctx, "up") }

func (h *Host) setLink(ctx context.Context, state string) error {
	if h.link == "" {
		return errors.Errorf("%s has no cable", h.Name)
	}
	return h.bridge.ip(ctx, fmt.Sprintf("link set %s %s\n", h.link, state))
}

// SetRate limits the host's link to a rate in tc's notation ("100mbit"), in
// each direction; an empty rate takes the limit off.
func (h *Host) SetRate(ctx context.Context, rate string) error {
	if h.link == "" {
		return errors.Errorf("%s has no cable", h.Name)
	}
	ends := []struct {
		at  *Host
		dev string
	}{{h.bridge, h.link}, {h, "eth0"}}
	for _, end := range ends {
		// Deleting what is not there is an error that says nothing.
		_ = end.at.inNetwork(ctx, "", "tc", "qdisc", "del", "dev", end.dev, "root")
		if rate == "" {
			continue
		}
		burst, err := burstFor(rate)
		if err != nil {
			return err
		}
		if err := end.at.inNetwork(ctx, "", "tc", tbf(end.dev, rate, burst)...); err != nil {
			return err
		}
	}
	return nil
}

// tbf returns the arguments with which tc limits a device's rate.
func tbf(dev, rate string, burst int) []string {
	return []string{"qdisc", "add", "dev", dev, "root", "tbf", "rate", rate, "burst", strconv.Itoa(burst), "latency", "50ms"}
}

// burstFor returns the bucket in bytes for a rate: what the link carries in
// 10 ms, the longest that a timer of the kernel may be late (HZ=100), and at
// least one 64 KiB segment, which tbf would otherwise drop.
func burstFor(rate string) (int, error) {
	units := []struct {
		suffix string
		bits   float64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(strings.ToLower(rate), u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v > 0) || v*u.bits > 1e12 {
			break
		}
		return max(68<<10, int(v*u.bits/8/100)), nil
	}
	return 0, errors.Errorf("rate %q: want a number and bit, kbit, mbit or gbit, as in 100mbit", rate)
}

// ip runs lines of ip commands in the host's network namespace.
func (h *Host) ip(ctx context.Context, lines string) error {
	return h.inNetwork(ctx, lines, "ip", "-batch", "-")
}

// inNetwork runs a program of this machine in the host's network namespace.
func (h *Host) inNetwork(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := inside(h.Init.PID, networkOnly(), cmd.Start); err != nil {
		return errors.WithMessagef(errors.Wrap(err, name), "%s", h.Name)
	}
	return errors.Wrapf(cmd.Wait(), "%s: %s %s: %s", h.Name, name, strings.Join(args, " "), strings.TrimSpace(out.String()))
}
