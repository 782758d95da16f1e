package ssp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/ssp"
)

func TestParsePolicy(t *testing.T) {
	for _, x := range []struct {
		text      string
		staleness int
		want      ssp.Policy
		err       string
	}{
		{"bsp", 0, ssp.BSP(), ""},
		{"ssp:3", 0, ssp.SSP(3), ""},
		{"ssp:3", 3, ssp.SSP(3), ""},
		{"ssp", 2, ssp.SSP(2), ""},
		{"ssp", 0, ssp.SSP(0), ""},
		{"essp:0", 0, ssp.ESSP(0), ""},
		{"essp", 7, ssp.ESSP(7), ""},
		{"async", 0, ssp.Async(), ""},
		{"async", -1, ssp.Async(), ""},
		{"ssp:3", 4, ssp.Policy{}, "contradicts"},
		{"bsp", 1, ssp.Policy{}, "contradicts"},
		{"async", 1, ssp.Policy{}, "contradicts"},
		{"async:1", 0, ssp.Policy{}, "takes no staleness"},
		{"bsp:0", 0, ssp.Policy{}, "takes no staleness"},
		{"ssp", -1, ssp.Policy{}, "expected 0"},
		{"ssp:", 0, ssp.Policy{}, "expected a number"},
		{"ssp:-1", 0, ssp.Policy{}, "expected a number"},
		{"ssp:99999999999", 0, ssp.Policy{}, "expected a number"},
		{"SSP", 0, ssp.Policy{}, "expected bsp, ssp:S, essp:S or async"},
		{"", 0, ssp.Policy{}, "expected bsp"},
	} {
		got, err := ssp.ParsePolicy(x.text, x.staleness)
		if got != x.want || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%q, %d: %v, %v; want %v, %q", x.text, x.staleness, got, err, x.want, x.err)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{"bsp", "ssp:3", "essp:0", "async", "ssp", "ssp:07", "vap:1"} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, text string, staleness int) {
		p, err := ssp.ParsePolicy(text, staleness)
		if err != nil {
			return
		}
		q, err := ssp.ParsePolicy(p.String(), 0)
		if err != nil || q != p {
			t.Fatalf("%q, %d: %v comes back as %v, %v", text, staleness, p, q, err)
		}
	})
}

func TestParseStraggle(t *testing.T) {
	for _, text := range []string{"", "rank=1,factor=4", "rank=0,delay=20ms", "rotate,delay=200ms", "random,p=0.05,delay=200ms"} {
		s, err := ssp.ParseStraggle(text)
		if err != nil || s.String() != text {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{
		"rank", "rank=1", "rank=-1,factor=2", "rank=1,factor=0.5", "rank=1,factor=NaN", "rank=1,factor=2,delay=1s", "rotate", "rotate,delay=-1s",
		"rotate,delay=1s,delay=1s", "random,delay=1s", "random,p=2,delay=1s", "random,p=0.5", "delay=1s", "rotate=1,delay=1s", "rotate,delay=1s,", "x",
	} {
		if s, err := ssp.ParseStraggle(text); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func FuzzParseStraggle(f *testing.F) {
	for _, s := range []string{"rank=1,factor=4", "rotate,delay=200ms", "random,p=0.05,delay=200ms", "rank=2,delay=1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ssp.ParseStraggle(text)
		if err != nil {
			return
		}
		if back, err := ssp.ParseStraggle(s.String()); err != nil || back != s {
			t.Fatalf("%q: %v comes back as %v, %v", text, s, back, err)
		}
		for c := range ssp.Clock(5) {
			if d := s.Delay(1, 3, c, 9, time.Second); d < 0 {
				t.Fatalf("%q: delay %v", text, d)
			}
		}
	})
}

func TestStraggle(t *testing.T) {
	parse := func(text string) ssp.Straggle {
		s, err := ssp.ParseStraggle(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if d := parse("rank=1,factor=4").Delay(1, 3, 5, 0, 50*time.Millisecond); d != 150*time.Millisecond {
		t.Errorf("factor: %v", d)
	}
	if d := parse("rank=1,factor=4").Delay(0, 3, 5, 0, 50*time.Millisecond); d != 0 {
		t.Errorf("another rank: %v", d)
	}
	rotate, random := parse("rotate,delay=1s"), parse("random,p=0.25,delay=1s")
	hit := 0
	for c := range ssp.Clock(4000) {
		slow := 0
		for r := range 4 {
			if rotate.Delay(r, 4, c, 0, 0) == time.Second {
				slow++
			}
			a, b := random.Delay(r, 4, c, 7, 0), random.Delay(r, 4, c, 7, time.Hour)
			if a != b {
				t.Fatal("random delays differ")
			}
			if a > 0 {
				hit++
			}
		}
		if slow != 1 {
			t.Fatalf("clock %d: %d ranks straggle", c, slow)
		}
	}
	if hit < 3700 || hit > 4300 {
		t.Errorf("%d of 16000 delays at p=0.25", hit)
	}
}
