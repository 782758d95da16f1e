package bootstrap

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseEmulation(t *testing.T) {
	tests := []struct {
		text string
		want Emulation
	}{
		{"", Emulation{}},
		{"rate=100mbit,delay=2ms", Emulation{Rate: 1e8, Delay: 2 * time.Millisecond}},
		{"rate=1.5gbit", Emulation{Rate: 1.5e9}},
		{"rate=10kbit", Emulation{Rate: 1e4}},
		{"rate=9bit", Emulation{Rate: 9}},
		{"jitter=0.5ms,delay=1ms", Emulation{Delay: time.Millisecond, Jitter: 500 * time.Microsecond}},
		{"delay=1s,pairs=0-3", Emulation{Delay: time.Second, Pairs: [][2]int{{0, 3}}}},
		{"pairs=3-0,1-2,delay=1s", Emulation{Delay: time.Second, Pairs: [][2]int{{0, 3}, {1, 2}}}},
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
		{"speed=1mbit", `unknown key "speed": want rate, delay, jitter or pairs`},
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
		{"jitter=0s", `neither rate nor delay is given`},
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
	s := Emulation{Delay: 1, Pairs: [][2]int{{0, 3}}}
	if err := s.Validate(4); err != nil {
		t.Error(err)
	}
	err := s.Validate(3)
	if want := "emulate: pairs: rank 3 does not exist, the ranks are 0 to 2"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEmulationSlows(t *testing.T) {
	all := Emulation{Delay: 1}
	some := Emulation{Delay: 1, Pairs: [][2]int{{0, 3}}}
	tests := []struct {
		s    Emulation
		a, b int
		want bool
	}{
		{all, 0, 1, true}, {all, 2, 2, false}, {some, 0, 3, true}, {some, 3, 0, true},
		{some, 0, 1, false}, {Emulation{}, 0, 1, false},
	}
	for _, test := range tests {
		if got := test.s.Slows(test.a, test.b); got != test.want {
			t.Errorf("%v slows %d-%d: %v", test.s, test.a, test.b, got)
		}
	}
}

func FuzzParseEmulation(f *testing.F) {
	for _, s := range []string{"", "rate=100mbit,delay=2ms,jitter=0.5ms,pairs=0-3,1-2", "rate=0.001kbit", "delay=1h", "pairs=", "=,=", "rate=1e3bit"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseEmulation(text)
		if err != nil {
			return
		}
		if s.Rate < 0 || s.Delay < 0 || s.Jitter < 0 || s.Jitter > s.Delay {
			t.Fatalf("ParseEmulation(%q) = %+v", text, s)
		}
		again, err := ParseEmulation(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("ParseEmulation(%q) = %+v, its text %q is %+v, %v", text, s, s.String(), again, err)
		}
	})
}
