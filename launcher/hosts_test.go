package launcher

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseHosts(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Host // Where is "f:1" unless given
		err        string
	}{
		{"plain", "a\n", []Host{{Name: "a"}}, ""},
		{"all keys", "me@a slots=2 port=22 addr=10.0.0.1", []Host{{Name: "a", User: "me", Slots: 2, Port: 22, Addr: "10.0.0.1"}}, ""},
		{"colon", "a:4", []Host{{Name: "a", Slots: 4}}, ""},
		{"comment and blank", "# x\n\na # y", []Host{{Name: "a", Where: "f:3"}}, ""},
		{"range", "n[08-10]", []Host{{Name: "n08"}, {Name: "n09"}, {Name: "n10"}}, ""},
		{"range and slots", "n[1,3-4]x:2", []Host{{Name: "n1x", Slots: 2}, {Name: "n3x", Slots: 2}, {Name: "n4x", Slots: 2}}, ""},
		{"two ranges", "r[1-2]n[1-2]", []Host{{Name: "r1n1"}, {Name: "r1n2"}, {Name: "r2n1"}, {Name: "r2n2"}}, ""},
		{"IPv6", "[fe80::1]:3 port=7", []Host{{Name: "fe80::1", Slots: 3, Port: 7}}, ""},
		{"IPv6 address of the mesh", "a addr=[2001:db8::1]", []Host{{Name: "a", Addr: "2001:db8::1"}}, ""},
		{"again", "a:2\na slots=3", []Host{{Name: "a", Slots: 5}}, ""},
		{"crlf", "a slots=2\r\n", []Host{{Name: "a", Slots: 2}}, ""},

		{"empty", "# nothing\n", nil, "f: no hosts"},
		{"no user", "@a", nil, "f:1: @a: no user before @"},
		{"option", "-oProxyCommand=x", nil, "f:1: -oProxyCommand=x: a line starts with the host's name"},
		{"dash", "-x", nil, "f:1: -x: -x is not a host name"},
		{"dash as user", "-x@a", nil, "f:1: -x@a: no user"},
		{"shell", "a;b", nil, "f:1: a;b: ';' in a host name"},
		{"bad slots", "ok\na slots=x", nil, "f:2: slots=x: want a number from 1 to"},
		{"no slots", "a slots=0", nil, "f:1: slots=0"},
		{"slots twice", "a:2 slots=3", nil, "f:1: slots=3: said twice"},
		{"bad port", "a port=70000", nil, "f:1: port=70000: want a number from 1 to 65535"},
		{"bad addr", "a addr=b", nil, "f:1: addr=b: want an IP address"},
		{"one addr", "a[1-2] addr=1.2.3.4", nil, "one address for many hosts"},
		{"unknown key", "a cores=3", nil, "f:1: cores=3: unknown key"},
		{"no value", "a fast", nil, "f:1: fast: want key=value"},
		{"bare IPv6", "fe80::1", nil, "f:1: fe80::1: an IPv6 address is written in brackets"},
		{"open range", "n[1-2", nil, "f:1: n[1-2: [ without ]"},
		{"backward range", "n[3-1]", nil, "f:1: n[3-1]: range 3-1"},
		{"large range", "n[1-99999999]", nil, "more than 16384 hosts"},
		{"many ranges", "n[1-2][1-2][1-2][1-2][1-2][1-2]", nil, "too many ranges"},
		{"again otherwise", "a:2\nb@a:2", nil, "f:2: host a differs from f:1"},
		{"again without slots", "a\na", nil, "f:2: host a again (first at f:1)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseHosts("f", strings.NewReader(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.want {
				if tt.want[i].Where == "" {
					tt.want[i].Where = "f:1"
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseHostList(t *testing.T) {
	got, err := ParseHostList("a:4,me@b[1,3]:2,[::1]:1")
	if err != nil {
		t.Fatal(err)
	}
	want := []Host{
		{Name: "a", Slots: 4, Where: "-host"},
		{Name: "b1", User: "me", Slots: 2, Where: "-host"},
		{Name: "b3", User: "me", Slots: 2, Where: "-host"},
		{Name: "::1", Slots: 1, Where: "-host"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "a,,b", "a:0", "a:b", ",", "a b=c"} {
		if got, err := ParseHostList(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	for _, s := range []string{"a:4\n", "me@n[01-16] slots=2 port=22", "[fe80::1]:3 addr=::2", "# x\na[1][2]", "x[1-2,4]y[3]:9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := ParseHosts("f", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		if len(hosts) == 0 || len(hosts) > maxHosts {
			t.Fatalf("%d hosts", len(hosts))
		}
		// Written out one by one they mean the same.
		var b strings.Builder
		for _, h := range hosts {
			name := h.Name
			if strings.Contains(name, ":") {
				name = "[" + name + "]"
			}
			if h.User != "" {
				name = h.User + "@" + name
			}
			b.WriteString(name)
			if h.Slots > 0 {
				fmt.Fprintf(&b, " slots=%d", h.Slots)
			}
			if h.Port > 0 {
				fmt.Fprintf(&b, " port=%d", h.Port)
			}
			if h.Addr != "" {
				fmt.Fprintf(&b, " addr=%s", h.Addr)
			}
			b.WriteByte('\n')
		}
		again, err := ParseHosts("g", strings.NewReader(b.String()))
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		for i := range hosts {
			hosts[i].Where, again[i].Where = "", ""
		}
		if !reflect.DeepEqual(hosts, again) {
			t.Fatalf("%q: %+v became %+v", text, hosts, again)
		}
	})
}

func TestPlace(t *testing.T) {
	h := func(slots ...int) []Host {
		hosts := make([]Host, len(slots))
		for i, s := range slots {
			hosts[i] = Host{Name: string(rune('a' + i)), Slots: s}
		}
		return hosts
	}
	tests := []struct {
		name  string
		hosts []Host
		n     int
		how   Placement
		want  string // hosts and their ranks
		err   string
	}{
		{"all slots", h(2, 3), 0, Placement{}, "a 0-1 b 2-4", ""},
		{"by slot", h(2, 3), 3, Placement{}, "a 0-1 b 2", ""},
		{"by node", h(2, 3), 5, Placement{By: ByNode}, "a 0,2 b 1,3-4", ""},
		{"unused host", h(4, 4), 3, Placement{}, "a 0-2", ""},
		{"too many", h(2, 3), 6, Placement{}, "", "6 ranks are more than the 5 slots"},
		{"oversubscribed", h(2, 3), 13, Placement{Oversubscribe: true}, "a 0-5 b 6-12", ""},
		{"equal shares", h(0, 0, 0), 8, Placement{}, "a 0-2 b 3-5 c 6-7", ""},
		{"one each", h(0, 0), 0, Placement{}, "a 0 b 1", ""},
		{"the rest is shared", h(3, 0, 0), 8, Placement{}, "a 0-2 b 3-5 c 6-7", ""},
		{"no rest", h(4, 0), 3, Placement{}, "a 0-2", ""},
		{"ppr", h(4, 4), 0, Placement{PerHost: 2}, "a 0-1 b 2-3", ""},
		{"ppr above everything", h(0, 0), 0, Placement{PerHost: 1 << 20}, "", "-ppr 1048576: a host can take 65536"},
		{"more than everything", h(0, 0), 1 << 20, Placement{}, "", "1048576 ranks are more than 2 hosts can take, 65536 each"},
		{"ppr above slots", h(2, 4), 0, Placement{PerHost: 3}, "", "-ppr 3"},
		{"ppr too small", h(4, 4), 5, Placement{PerHost: 2}, "", "5 ranks do not fit on 2 hosts with -ppr 2, which take 4"},
		{"this machine", []Host{{Name: "me", here: true}}, 0, Placement{}, "me 0-1", ""},
		{"many on this machine", []Host{{Name: "me", here: true}}, 64, Placement{}, "me 0-63", ""},
		{"bad order", h(1), 1, Placement{By: "core"}, "", "want slot or node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := place(tt.hosts, tt.n, tt.how, 2)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var parts []string
			for i, h := range l.Hosts {
				parts = append(parts, h.Name, ranges(l.On[i]))
			}
			if got := strings.Join(parts, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{"ssh -F 'a b'", `a\ b "c d"`, "'", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, err := SplitWords(s)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = quote(w)
		}
		again, err := SplitWords(strings.Join(quoted, " "))
		if err != nil || strings.ToValidUTF8(strings.Join(again, "\x00"), "\ufffd") != strings.ToValidUTF8(strings.Join(words, "\x00"), "\ufffd") || len(again) != len(words) {
			t.Fatalf("%q became %q (%v)", words, again, err)
		}
	})
}

// A file that is no hosts file is refused in one short line of text.
func TestParseHostsGarbage(t *testing.T) {
	for text, want := range map[string]string{
		"\xff\x00\x1b[2Jgarble\n":          `f:1: "\xff\x00\x1b[2Jgarble": `,
		strings.Repeat("x=", 5000) + "\n":  `f:1: "` + strings.Repeat("x=", 30) + `"…: a line starts`,
		"a \x07\n":                         `f:1: "\a": want key=value`,
		"ok\na " + strings.Repeat("y", 61): `f:2: "` + strings.Repeat("y", 60) + `"…: want key=value`,
	} {
		_, err := ParseHosts("f", strings.NewReader(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
