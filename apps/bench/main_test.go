package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want int
		ok   bool
	}{
		{"0", 0, true}, {"8", 8, true}, {"64k", 65536, true}, {"4m", 4 << 20, true}, {"1024m", 1 << 30, true},
		{"", 0, false}, {"k", 0, false}, {"-1", 0, false}, {"8g", 0, false}, {"1025m", 0, false}, {"4294967295m", 0, false},
	}
	for _, test := range tests {
		got, err := parseSize(test.text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("parseSize(%q) = %d, %v, want %d", test.text, got, err, test.want)
		}
	}
}

func TestLine(t *testing.T) {
	us := time.Microsecond
	got := line("pingpong", 16, 2, []time.Duration{9 * us, 2 * us, 4 * us})
	want := "result app=bench op=pingpong bytes=16 ranks=2 samples=3 usec_median=4.000 usec_p99=9.000 mb_per_s=4.00"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPoints measures in this process, a third rank looking on at times.
func TestPoints(t *testing.T) {
	const iters = 5
	err := runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
		for _, op := range []string{"pingpong", "stream", "barrier", "allreduce"} {
			for _, size := range []int{0, 8, 1001, 100_000} {
				p := newPoint(c, op, size)
				if c.Rank() >= p.ranks {
					continue
				}
				samples, err := p.run(ctx, time.Hour, iters)
				if err != nil {
					return err
				}
				if want := map[int]int{0: iters}[c.Rank()]; len(samples) != want {
					t.Errorf("%s of %d bytes: rank %d has %d samples, want %d", op, size, c.Rank(), len(samples), want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneRank(t *testing.T) {
	cfg := &config{ops: []string{"pingpong"}, sizes: []int{8}, time: time.Second, iters: 1}
	err := runtime.RunLocal(t.Context(), 1, cfg.measure)
	if err == nil || !strings.Contains(err.Error(), "messages need two ranks") {
		t.Errorf("got %v", err)
	}
}
