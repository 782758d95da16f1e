package bootstrap

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseStraggle(t *testing.T) {
	tests := []struct {
		text string
		want Straggle
	}{
		{"", nil},
		{"rank=1,factor=4", Straggle{{Kind: Permanent, Ranks: []int{1}, Factor: 4}}},
		{"rank=0,delay=20ms", Straggle{{Kind: Permanent, Ranks: []int{0}, Delay: 20 * time.Millisecond}}},
		{"rank=1+3,factor=4", Straggle{{Kind: Permanent, Ranks: []int{1, 3}, Factor: 4}}},
		{"rotate,delay=200ms", Straggle{{Kind: Rotating, Delay: 200 * time.Millisecond}}},
		{"random,p=0.05,delay=200ms", Straggle{{Kind: Random, P: 0.05, Delay: 200 * time.Millisecond}}},
		{"exp,mean=20ms", Straggle{{Kind: Exponential, Delay: 20 * time.Millisecond}}},
		{"rank=1,factor=4;exp,mean=20ms;rank=1,delay=1s", Straggle{
			{Kind: Permanent, Ranks: []int{1}, Factor: 4}, {Kind: Exponential, Delay: 20 * time.Millisecond},
			{Kind: Permanent, Ranks: []int{1}, Delay: time.Second},
		}},
	}
	for _, test := range tests {
		s, err := ParseStraggle(test.text)
		if err != nil || !reflect.DeepEqual(s, test.want) || s.String() != test.text {
			t.Errorf("%q: %+v, text %q, %v, want %+v", test.text, s, s, err, test.want)
		}
	}
	if s, err := ParseStraggle("rank=3+1,factor=2 ; rotate,delay=1s"); err != nil || s.String() != "rank=1+3,factor=2;rotate,delay=1s" {
		t.Errorf("%v, %v", s, err)
	}
}

func TestParseStraggleErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"rank", `straggle "rank": "rank" is not known here; expected rank=R,factor=F or `}, {"rank=1", "one of factor and delay"},
		{"rank=-1,factor=2", `rank "-1" is not a number`}, {"rank=1+,factor=2", `rank "" is not a number`}, {"rank=1+1,factor=2", "two of the same rank"},
		{"rank=1,factor=0.5", `factor "0.5" is not from 1 to 1e6`}, {"rank=1,factor=NaN", "is not from 1"}, {"rank=1,factor=2,delay=1s", "one of factor and delay"},
		{"rotate", "no delay"}, {"rotate,delay=-1s", `delay "-1s" is not a duration from 0 to 24h`}, {"rotate,delay=1s,delay=1s", `two of "delay"`},
		{"random,delay=1s", "no p"}, {"random,p=2,delay=1s", `p "2" is not from 0 to 1`}, {"random,p=0.5", "no delay"},
		{"delay=1s", `"delay=1s" is not known here`}, {"rotate=1,delay=1s", `"rotate=1" is not known`}, {"rotate,delay=1s,", `"" is not known`}, {"x", `"x" is not known`},
		{"exp", "no mean"}, {"exp,delay=1s", `"delay=1s" is not known`}, {"exp,mean=25h", `mean "25h" is not a duration`}, {"rotate,mean=1s", `"mean=1s" is not known`},
		{"exp,mean=1s;", `straggle "": empty; expected`}, {"exp,mean=1s;rotate", `straggle "rotate": no delay`},
	}
	for _, test := range tests {
		if s, err := ParseStraggle(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %+v, %v, want %s", test.text, s, err, test.want)
		}
	}
}

func FuzzParseStraggle(f *testing.F) {
	for _, s := range []string{"rank=1,factor=4", "rotate,delay=200ms", "random,p=0.05,delay=200ms", "rank=2+0,delay=1s", "exp,mean=20ms;rotate,delay=1s", ";"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStraggle(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: more than a line: %v", text, err)
			}
			return
		}
		if back, err := ParseStraggle(s.String()); err != nil || !reflect.DeepEqual(back, s) {
			t.Fatalf("%q: %v comes back as %v, %v", text, s, back, err)
		}
		if strings.Count(s.Describe(), ";") != max(0, len(s)-1) {
			t.Fatalf("%q is described as %q", text, s.Describe())
		}
	})
}

func TestStraggleValidate(t *testing.T) {
	for _, x := range []struct {
		text string
		size int
		ok   bool
	}{
		{"rank=3,factor=2", 4, true}, {"rank=3,factor=2", 3, false}, {"rotate,delay=1s", 1, true}, {"", 1, true},
		{"rank=0+3,factor=2", 3, false}, {"rank=0,factor=2;rank=1,delay=1s", 1, false},
	} {
		s, err := ParseStraggle(x.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(x.size); (err == nil) != x.ok {
			t.Errorf("%q among %d ranks: %v", x.text, x.size, err)
		}
	}
}

func TestDescribeStraggle(t *testing.T) {
	tests := [][2]string{
		{"", ""},
		{"rank=1,factor=4", "rank 1 computes 4 times as long"},
		{"rank=3+1,delay=0.2s", "ranks 1, 3 compute 200 ms longer for each clock"},
		{"rotate,delay=200ms", "one rank after the other computes 200 ms longer for a clock"},
		{"random,p=0.05,delay=1s;exp,mean=20ms",
			"each rank at each clock computes 1 s longer with probability 0.05; each rank at each clock computes longer, by 20 ms on average (exponential)"},
	}
	for _, test := range tests {
		s, err := ParseStraggle(test[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Describe(); got != test[1] {
			t.Errorf("%q is described as %q, want %q", test[0], got, test[1])
		}
	}
}
