package launcher

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

func TestOutcome(t *testing.T) {
	well := agent.ExitInfo{Joined: true, Verdict: &bootstrap.Verdict{OK: true}}
	secondary := agent.ExitInfo{Code: 1, Joined: true, Verdict: &bootstrap.Verdict{Secondary: true, Lost: 2, Cause: "rank 2 lost"}}
	failed := agent.ExitInfo{Code: 3, Joined: true, Verdict: &bootstrap.Verdict{Cause: "boo\nat line 3"}}
	joinAll := func(o *outcome) {
		for r := range o.hosts {
			o.join(r)
		}
	}
	tests := []struct {
		name string
		do   func(o *outcome)
		want string // "" means success
		code int
	}{
		{"nobody joins", func(o *outcome) {
			for r := range 3 {
				o.exit(r, agent.ExitInfo{})
			}
		}, "", 0},
		{"all well", func(o *outcome) {
			joinAll(o)
			for r := range 3 {
				o.exit(r, well)
			}
		}, "", 0},
		{"status", func(o *outcome) { o.exit(1, agent.ExitInfo{Code: 4}) }, "rank 1 on b: exit status 4", 4},
		{"signal and core", func(o *outcome) { o.exit(1, agent.ExitInfo{Signal: 11, Core: true}) }, "rank 1 on b: killed by signal 11 (SIGSEGV), core dumped", 139},
		{"verdict", func(o *outcome) { joinAll(o); o.exit(0, failed) }, "rank 0 on a: exit status 3: boo", 3},
		{"gives up joining", func(o *outcome) {
			late := bootstrap.Verdict{Cause: "join: not complete after 1m0s"}
			o.join(1)
			o.failing(1, late)
			o.exit(1, agent.ExitInfo{Code: 1, Joined: true, Verdict: &late})
		}, "rank 1 on b: exit status 1: join: not complete after 1m0s, without rank 0 on a, rank 2 on b", 1},
		{"verdict first", func(o *outcome) {
			joinAll(o)
			o.failing(0, *failed.Verdict)
			o.exit(1, secondary)
			o.exit(0, failed)
		}, "rank 0 on a: exit status 3: boo", 3},
		{"verdict first, then ended by the launcher", func(o *outcome) {
			joinAll(o)
			o.failing(0, *failed.Verdict)
			o.ending = true
			o.exit(0, agent.ExitInfo{Signal: 15, Joined: true, Verdict: failed.Verdict})
		}, "rank 0 on a: boo", 1},
		{"secondary, then the cause", func(o *outcome) {
			joinAll(o)
			o.exit(0, secondary)
			o.exit(1, secondary)
			o.exit(2, agent.ExitInfo{Signal: 9, Joined: true})
		}, "rank 2 on b: killed by signal 9 (SIGKILL)", 137},
		{"secondary, then the host", func(o *outcome) {
			joinAll(o)
			o.exit(0, secondary)
			o.hostLost("b", []int{1, 2}, "no sign of life for 3.2 s")
		}, "host b: no sign of life for 3.2 s", 125},
		{"only secondary", func(o *outcome) { joinAll(o); o.exit(0, secondary) }, "rank 0 on a: exit status 1: rank 2 lost", 1},
		{"two causes", func(o *outcome) {
			o.exit(2, agent.ExitInfo{Code: 2})
			o.exit(1, agent.ExitInfo{Code: 1})
		}, "rank 2 on b: exit status 2", 2},
		{"left the others", func(o *outcome) { joinAll(o); o.exit(1, agent.ExitInfo{Joined: true}) }, "rank 1 on b: exit status 0 in the middle of the job", 1},
		{"never joined, later", func(o *outcome) { o.join(0); o.exit(1, agent.ExitInfo{}) }, "rank 1 on b: " + absentCause, 1},
		{"never joined, before", func(o *outcome) { o.exit(1, agent.ExitInfo{}); o.join(0) }, "rank 1 on b: " + absentCause, 1},
		{"killed by the launcher", func(o *outcome) { o.ending = true; o.exit(0, agent.ExitInfo{Signal: 15}) }, "", 0},
		{"host after its ranks", func(o *outcome) {
			for r := range 3 {
				o.exit(r, agent.ExitInfo{})
			}
			o.hostLost("b", []int{1, 2}, "gone")
		}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutcome([]string{"a", "b", "b"})
			tt.do(o)
			f := o.cause()
			switch {
			case f == nil && tt.want != "":
				t.Errorf("success, want %s", tt.want)
			case f != nil && (f.String() != tt.want || f.code != tt.code):
				t.Errorf("got %q with %d, want %q with %d", f, f.code, tt.want, tt.code)
			}
		})
	}
}

// TestOutcomeOrder feeds ends in random orders: a primary cause always wins
// over secondary ones, all ranks end, and every loss is told.
func TestOutcomeOrder(t *testing.T) {
	for seed := range seeds.Count(t, 500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 2 + rng.IntN(7)
		o := newOutcome(make([]string, n))
		for r := range n {
			o.join(r)
		}
		bad := rng.IntN(n)
		told := make(map[int]bool)
		tell := func(losses []bootstrap.Loss) {
			for _, l := range losses {
				told[l.Rank] = true
			}
		}
		for _, r := range rng.Perm(n) {
			e := agent.ExitInfo{Code: 1, Joined: true, Verdict: &bootstrap.Verdict{Secondary: true, Lost: bad, Cause: "lost"}}
			if r == bad {
				e = agent.ExitInfo{Code: 42, Joined: true, Verdict: &bootstrap.Verdict{Cause: "why"}}
			}
			if rng.IntN(2) == 0 {
				tell(o.failing(r, *e.Verdict))
			}
			tell(o.exit(r, e))
			if rng.IntN(4) == 0 {
				tell(o.exit(r, e)) // said twice
			}
		}
		if f := o.cause(); f == nil || f.rank != bad || f.code != 42 || !strings.HasSuffix(f.cause, "why") {
			t.Fatalf("seed %d: %v, want rank %d", seed, f, bad)
		}
		if o.left != 0 || len(told) != n || !o.settled() {
			t.Fatalf("seed %d: %d ranks left, %d of %d losses told", seed, o.left, len(told), n)
		}
	}
}

func TestChooseAddrs(t *testing.T) {
	ifaces := []agent.Iface{{Name: "lo", IP: "127.0.0.1"}, {Name: "eth0", IP: "192.168.1.7"}, {Name: "ib0", IP: "10.5.0.7"}, {Name: "eth0", IP: "2001:db8::7"}}
	remote := func(name, reached, from string) meshHost {
		return meshHost{Host: Host{Name: name}, hello: agent.HelloInfo{Reached: reached, From: from, Ifaces: ifaces}}
	}
	local := meshHost{Host: Host{Name: "me"}, local: true, hello: agent.HelloInfo{Ifaces: ifaces}}
	tests := []struct {
		name  string
		iface string
		hosts []meshHost
		want  string
		err   string
	}{
		{"this machine", "", []meshHost{local}, "127.0.0.1", ""},
		{"as reached", "", []meshHost{remote("a", "10.0.0.1", "10.0.0.9"), remote("b", "10.0.0.2", "10.0.0.9")}, "10.0.0.1 10.0.0.2", ""},
		{"this machine as seen", "", []meshHost{local, remote("b", "10.0.0.2", "10.0.0.9")}, "10.0.0.9 10.0.0.2", ""},
		{"file", "", []meshHost{{Host: Host{Name: "a", Addr: "1.2.3.4"}, hello: agent.HelloInfo{Reached: "10.0.0.1"}}}, "1.2.3.4", ""},
		{"reached on the loopback", "", []meshHost{remote("a", "127.0.0.1", "127.0.0.1")}, "192.168.1.7", ""},
		{"other shell", "", []meshHost{remote("a", "", "")}, "192.168.1.7", ""},
		{"name is an address", "", []meshHost{remote("10.9.9.9", "", "")}, "10.9.9.9", ""},
		{"interface", "ib0", []meshHost{remote("a", "10.0.0.1", "")}, "10.5.0.7", ""},
		{"network", "10.5.0.0/16", []meshHost{local}, "10.5.0.7", ""},
		{"IPv6 network", "2001:db8::/32", []meshHost{local}, "2001:db8::7", ""},
		{"no such interface", "ib1", []meshHost{local}, "", "host me: -iface ib1"},
		{"no such network", "172.16.0.0/12", []meshHost{local}, "", "-iface 172.16.0.0/12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseAddrs(tt.iface, tt.hosts)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("got %v (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestSamePlatform(t *testing.T) {
	if err := samePlatform("Plan9", "pdp11"); err == nil || !strings.Contains(err.Error(), "is plan9/pdp11, but this sspurn") {
		t.Errorf("got %v", err)
	}
}
