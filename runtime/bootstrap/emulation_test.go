package bootstrap

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseEmulation(t *testing.T) {
	one := func(c Clause) Emulation { return Emulation{[]Clause{c}} }
	ms := time.Millisecond
	tests := []struct {
		text string
		want Emulation
	}{
		{"", Emulation{}},
		{"rate=100mbit,delay=2ms", one(Clause{Link: Link{Rate: 1e8, Delay: 2 * ms}})},
		{"rate=1.5gbit", one(Clause{Link: Link{Rate: 1.5e9}})},
		{"rate=10kbit", one(Clause{Link: Link{Rate: 1e4}})},
		{"rate=9bit", one(Clause{Link: Link{Rate: 9}})},
		{"jitter=0.5ms,delay=1ms", one(Clause{Link: Link{Delay: ms, Jitter: ms / 2}})},
		{"delay=1s,pairs=0-3", one(Clause{Link{Delay: time.Second}, [][2]int{{0, 3}}})},
		{"pairs=3-0,1-2,delay=1s", one(Clause{Link{Delay: time.Second}, [][2]int{{0, 3}, {1, 2}}})},
		{"pairs=3-*,*-0,delay=1s", one(Clause{Link{Delay: time.Second}, [][2]int{{3, AnyRank}, {0, AnyRank}}})},
		{"down=5s+2s", one(Clause{Link: Link{Down: Outage{5 * time.Second, 2 * time.Second, 0}}})},
		{"down=0s+20ms/0.5s", one(Clause{Link: Link{Down: Outage{0, 20 * ms, 500 * ms}}})},
		{"rate=1gbit,delay=1ms; pairs=0-3,rate=10mbit,delay=20ms,jitter=2ms;pairs=1-2,delay=0s", Emulation{[]Clause{
			{Link: Link{Rate: 1e9, Delay: ms}},
			{Link{Rate: 1e7, Delay: 20 * ms, Jitter: 2 * ms}, [][2]int{{0, 3}}},
			{Link{}, [][2]int{{1, 2}}},
		}}},
		{"pairs=2-*,delay=1ms;pairs=0-2,rate=1mbit", Emulation{[]Clause{
			{Link{Delay: ms}, [][2]int{{2, AnyRank}}}, {Link{Rate: 1e6}, [][2]int{{0, 2}}},
		}}},
	}
	for _, test := range tests {
		got, err := ParseEmulation(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("ParseEmulation(%q) = %+v, %v, want %+v", test.text, got, err, test.want)
		}
	}
}

func TestParseEmulationErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"fast", `"fast" is not of the form key=value`},
		{"speed=1mbit", `unknown key "speed": want rate, delay, jitter, down or pairs`},
		{"rate=100", `rate: "100" has no unit: want bit, kbit, mbit or gbit`},
		{"rate=xmbit", `rate: "xmbit" is not a rate from 1bit to 1000gbit`},
		{"rate=-1mbit", `rate: "-1mbit" is not a rate`},
		{"rate=nanbit", `rate: "nanbit" is not a rate`},
		{"rate=2000gbit", `rate: "2000gbit" is not a rate`},
		{"delay=2", `delay: "2" is not a duration such as 2ms`},
		{"delay=-2ms", `delay: -2ms is not between 0 and 1m0s`},
		{"delay=2h", `delay: 2h0m0s is not between`},
		{"delay=1ms,delay=2ms", `delay is given twice`},
		{"delay=1ms,jitter=2ms", `jitter 2ms is more than the delay 1ms`},
		{"jitter=0s", `neither rate nor delay nor down is given`},
		{"delay=0s", `it slows nothing`},
		{"delay=1ms;", `clause 2: empty`},
		{" ; delay=1ms", `clause 1: empty`},
		{"delay=1ms;rate=1mbit", `clause 2: no pairs: only the first clause can be for all links`},
		{"delay=1ms;pairs=0-1", `clause 2: neither rate nor delay nor down is given`},
		{"delay=1ms;pairs=0-1,rate=1", `clause 2: rate: "1" has no unit`},
		{"down=5s", `down: "5s" is not of the form 5s+2s`},
		{"down=5+2s", `down: "5" is not a duration`},
		{"down=5s+x", `down: "x" is not a duration`},
		{"down=5s+2s/", `down: "" is not a duration`},
		{"down=5s+-2s", `down: -2s is not between 0 and 24h0m0s`},
		{"down=5s+0s", `down: "5s+0s" lasts no time`},
		{"down=5s+2s/2s", `down: "5s+2s/2s" is never up again: every 2s it is down for 2s`},
		{"delay=1ms,pairs=*-*", `pairs: "*-*" is not a pair of ranks`},
		{"delay=1ms,pairs=0-*-1", `pairs: "0-*-1" is not a pair of ranks`},
		{"delay=1ms,", `"" is not of the form key=value`},
		{"delay=1ms,pairs=3", `pairs: "3" is not a pair of ranks such as 0-3`},
		{"delay=1ms,pairs=1-1", `pairs: "1-1": a rank has no link to itself`},
		{"delay=1ms,pairs=0-1,-2-1", `pairs: "-2-1" is not a pair`},
	}
	for _, test := range tests {
		_, err := ParseEmulation(test.text)
		if err == nil || !strings.HasPrefix(err.Error(), "emulate: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseEmulation(%q): %v, want %s", test.text, err, test.want)
		}
	}
}

func TestEmulationValidate(t *testing.T) {
	tests := []struct {
		text string
		size int
		bad  string
	}{
		{"delay=1ms,pairs=0-3", 4, ""}, {"delay=1ms,pairs=0-3", 3, "3"}, {"delay=1ms", 1, ""},
		{"delay=1ms;pairs=0-1,3-*,delay=2ms", 4, ""}, {"delay=1ms;pairs=0-1,3-*,delay=2ms", 3, "3"},
		{"delay=1ms;pairs=0-1,delay=2ms;pairs=1-2,delay=2ms", 2, "2"},
	}
	for _, test := range tests {
		s, err := ParseEmulation(test.text)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if test.bad != "" {
			want = "emulate: pairs: rank " + test.bad + " does not exist, the ranks are 0 to " + strconv.Itoa(test.size-1)
		}
		if err := s.Validate(test.size); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q for %d ranks: %v, want %q", test.text, test.size, err, want)
		}
	}
}

// TestEmulationLink looks up which clause holds for a link.
func TestEmulationLink(t *testing.T) {
	const spec = "rate=1mbit;pairs=2-*,rate=2mbit;pairs=0-2,1-3,rate=3mbit;pairs=3-4,delay=0s"
	tests := []struct {
		text string
		a, b int
		want float64 // Mbit/s
	}{
		{"", 0, 1, 0}, {"rate=1mbit", 0, 1, 1}, {"rate=1mbit", 2, 2, 0},
		{"rate=1mbit,pairs=0-3", 0, 3, 1}, {"rate=1mbit,pairs=0-3", 3, 0, 1}, {"rate=1mbit,pairs=0-3", 0, 1, 0},
		{"rate=1mbit,pairs=*-3", 1, 3, 1}, {"rate=1mbit,pairs=*-3", 3, 1, 1}, {"rate=1mbit,pairs=*-3", 1, 0, 0},
		{spec, 0, 1, 1}, {spec, 1, 2, 2}, {spec, 2, 4, 2}, {spec, 2, 0, 3}, {spec, 3, 1, 3}, {spec, 4, 3, 0}, {spec, 2, 2, 0},
	}
	for _, test := range tests {
		s, err := ParseEmulation(test.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.RateOf(test.a, test.b); got != 1e6*test.want || s.Link(test.a, test.b).Rate != got {
			t.Errorf("%q: the rate of %d-%d is %v, want %v Mbit/s", test.text, test.a, test.b, got, test.want)
		}
	}
}

func FuzzParseEmulation(f *testing.F) {
	for _, s := range []string{
		"", "rate=100mbit,delay=2ms,jitter=0.5ms,pairs=0-3,1-2", "rate=0.001kbit", "delay=1h", "pairs=", "=,=", "rate=1e3bit",
		"rate=1gbit,delay=1ms;pairs=0-3,rate=10mbit,down=5s+2s/30s", "down=1s+1s;pairs=2-*,delay=0s", ";", "down=+/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseEmulation(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("ParseEmulation(%q): more than a line: %v", text, err)
			}
			return
		}
		for _, c := range s.Clauses {
			if c.Rate < 0 || c.Delay < 0 || c.Jitter < 0 || c.Jitter > c.Delay || c.Down.Every != 0 && c.Down.Every <= c.Down.For {
				t.Fatalf("ParseEmulation(%q) = %+v", text, s)
			}
		}
		if strings.Count(s.Describe(), ";") != max(0, len(s.Clauses)-1) {
			t.Fatalf("ParseEmulation(%q) is described as %q", text, s.Describe())
		}
		again, err := ParseEmulation(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("ParseEmulation(%q) = %+v, its text %q is %+v, %v", text, s, s.String(), again, err)
		}
	})
}
