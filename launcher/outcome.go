package launcher

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// fault is why a job fails.
type fault struct {
	rank  int // -1: a whole host
	host  string
	cause string
	code  int // exit status of the launcher
}

func (f *fault) String() string {
	if f.rank < 0 {
		return fmt.Sprintf("host %s: %s", f.host, f.cause)
	}
	return fmt.Sprintf("rank %d on %s: %s", f.rank, f.host, f.cause)
}

// outcome collects how ranks end and decides what failed first. It is a pure
// state machine: same calls, same answers.
type outcome struct {
	hosts  []string // of each rank
	joined []bool
	ended  []bool
	quiet  []bool // ended well without ever joining
	left   int    // ranks that have not ended

	first     *fault // the primary cause; nil while unknown
	secondary *fault // the first end that somebody else's loss explains
	ending    bool   // the launcher ends the job: later ends are its own doing
}

func newOutcome(hosts []string) *outcome {
	n := len(hosts)
	return &outcome{hosts: hosts, joined: make([]bool, n), ended: make([]bool, n), quiet: make([]bool, n), left: n}
}

// join notes that the rank has joined. It reports whether all have, and a
// rank that had ended without joining.
func (o *outcome) join(rank int) (all bool, lost []bootstrap.Loss) {
	o.joined[rank] = true
	for r, q := range o.quiet {
		if q {
			o.quiet[r] = false
			lost = append(lost, o.lose(fault{rank: r, host: o.hosts[r], cause: absentCause, code: 1}, false))
		}
	}
	all = true
	for _, j := range o.joined {
		all = all && j
	}
	return all, lost
}

// absentCause is the fault of a rank that the others wait for in vain.
const absentCause = "ended without joining the job that other ranks have joined"

// failing notes a verdict that came before its rank's exit.
func (o *outcome) failing(rank int, v bootstrap.Verdict) []bootstrap.Loss {
	if v.OK || o.ended[rank] {
		return nil
	}
	return []bootstrap.Loss{o.lose(fault{rank: rank, host: o.hosts[rank], cause: o.said(rank, v), code: 1}, v.Secondary)}
}

// said returns what a rank says of its end. One that gave up joining knows no
// more than that others are missing: they are named.
func (o *outcome) said(rank int, v bootstrap.Verdict) string {
	text := firstLine(v.Cause)
	if v.Secondary || !o.joined[rank] {
		return text
	}
	var absent []string
	for r, j := range o.joined {
		if !j {
			absent = append(absent, fmt.Sprintf("rank %d on %s", r, o.hosts[r]))
		}
	}
	if len(absent) == 0 {
		return text
	}
	const shown = 4
	if more := len(absent) - shown; more > 0 {
		absent = append(absent[:shown], fmt.Sprintf("%d more", more))
	}
	return text + ", without " + strings.Join(absent, ", ")
}

// exit notes the end of a rank and returns what the other ranks must be told.
func (o *outcome) exit(rank int, e agent.ExitInfo) []bootstrap.Loss {
	if o.ended[rank] {
		return nil
	}
	o.ended[rank] = true
	o.left--
	f := fault{rank: rank, host: o.hosts[rank]}
	secondary := e.Verdict != nil && e.Verdict.Secondary
	joined := e.Joined || o.joined[rank]
	switch {
	case e.Signal != 0:
		f.cause, f.code = signalCause(e.Signal, e.Core), exitSignal+e.Signal
	case e.Code != 0:
		f.cause, f.code = fmt.Sprintf("exit status %d", e.Code), e.Code
	case e.Verdict != nil && !e.Verdict.OK:
		f.cause, f.code = "exit status 0 after an error", 1
	case e.Verdict == nil && joined:
		f.cause, f.code = "exit status 0 in the middle of the job", 1
	case e.Verdict == nil && o.anyJoined():
		f.cause, f.code = absentCause, 1
	default:
		o.quiet[rank] = e.Verdict == nil
		return nil
	}
	if e.Verdict != nil && !e.Verdict.OK && e.Verdict.Cause != "" {
		f.cause += ": " + o.said(rank, *e.Verdict)
	}
	for _, known := range []*fault{o.first, o.secondary} {
		if known != nil && known.rank == rank { // its verdict was here before it
			if !o.ending || e.Signal == 0 {
				*known = f
			}
			return nil
		}
	}
	return []bootstrap.Loss{o.lose(f, secondary)}
}

// hostLost notes that a host is out of reach, with all its ranks that have not
// ended.
func (o *outcome) hostLost(host string, ranks []int, cause string) []bootstrap.Loss {
	var lost []bootstrap.Loss
	f := fault{rank: -1, host: host, cause: cause, code: ExitLaunch}
	for _, r := range ranks {
		if o.ended[r] {
			continue
		}
		o.ended[r] = true
		o.left--
		lost = append(lost, bootstrap.Loss{Rank: r, Host: host, Cause: "host " + host + ": " + cause})
	}
	if len(lost) > 0 && o.first == nil && !o.ending {
		o.first = &f
	}
	return lost
}

// lose notes a loss; the first one that nothing else explains is the cause.
func (o *outcome) lose(f fault, secondary bool) bootstrap.Loss {
	switch {
	case o.ending:
	case secondary && o.secondary == nil:
		o.secondary = &f
	case !secondary && o.first == nil:
		o.first = &f
	}
	return bootstrap.Loss{Rank: f.rank, Host: f.host, Cause: f.cause}
}

// settled reports whether the primary cause is known with its exit status.
func (o *outcome) settled() bool {
	return o.first != nil && (o.first.rank < 0 || o.ended[o.first.rank])
}

func (o *outcome) anyJoined() bool {
	for _, j := range o.joined {
		if j {
			return true
		}
	}
	return false
}

// cause returns the primary cause, or the best there is; nil after success.
func (o *outcome) cause() *fault {
	if o.first != nil {
		return o.first
	}
	return o.secondary
}

// maxCause is the longest cause in bytes that is shown on a line.
const maxCause = 400

// firstLine returns the first line of a text that may be long, such as the
// stack of a panic.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if len(s) > maxCause {
		s = strings.ToValidUTF8(s[:maxCause], "") + "…"
	}
	return s
}

// signalCause words an end by signal.
func signalCause(sig int, core bool) string {
	s := fmt.Sprintf("killed by signal %d", sig)
	if name := unix.SignalName(syscall.Signal(sig)); name != "" {
		s += " (" + name + ")"
	}
	if core {
		s += ", core dumped"
	}
	return s
}
