package ssp

import (
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

func TestStraggle(t *testing.T) {
	parse := func(text string) bootstrap.Straggle {
		s, err := bootstrap.ParseStraggle(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if d := delay(parse("rank=1,factor=4"), 1, 3, 5, 0, 50*time.Millisecond); d != 150*time.Millisecond {
		t.Errorf("factor: %v", d)
	}
	if d := delay(parse("rank=1,factor=4"), 0, 3, 5, 0, 50*time.Millisecond); d != 0 {
		t.Errorf("another rank: %v", d)
	}
	rotate, random := parse("rotate,delay=1s"), parse("random,p=0.25,delay=1s")
	hit := 0
	for c := range Clock(4000) {
		slow := 0
		for r := range 4 {
			if delay(rotate, r, 4, c, 0, 0) == time.Second {
				slow++
			}
			a, b := delay(random, r, 4, c, 7, 0), delay(random, r, 4, c, 7, time.Hour)
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

// Delays of whatever can be asked for are within bounds.
func FuzzDelay(f *testing.F) {
	for _, s := range []string{"rank=1,factor=4", "rotate,delay=200ms", "random,p=0.05,delay=200ms", "rank=2,delay=1s"} {
		f.Add(s, int64(time.Second))
	}
	f.Fuzz(func(t *testing.T, text string, busy int64) {
		s, err := bootstrap.ParseStraggle(text)
		if err != nil {
			return
		}
		for c := range Clock(5) {
			if d := delay(s, 1, 3, c, 9, time.Duration(busy)); d < 0 || d > bootstrap.MaxStraggle {
				t.Fatalf("%q: delay %v", text, d)
			}
		}
	})
}
