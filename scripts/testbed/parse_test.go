//go:build linux

package testbed

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	tail := " S 41 " + strings.Repeat("0 ", 17) + "12345 0 0"
	for _, c := range []struct {
		line string
		want stat
		ok   bool
	}{
		{"7 (sh)" + tail, stat{'S', 41, 12345}, true},
		{"7 (a) b) (c)" + tail, stat{'S', 41, 12345}, true},
		{"7 (sh) Z 1 " + strings.Repeat("0 ", 17) + "9", stat{'Z', 1, 9}, true},
		{"7 (sh) S 1 2", stat{}, false},
		{"7 sh" + tail, stat{}, false},
		{"7 (sh) SS 41 " + strings.Repeat("0 ", 18), stat{}, false},
		{"7 (sh) S x " + strings.Repeat("0 ", 18), stat{}, false},
		{"", stat{}, false},
	} {
		got, err := parseStat([]byte(c.line))
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%q: got %+v, %v, want %+v, ok %t", c.line, got, err, c.want, c.ok)
		}
	}
	self, err := processOf(os.Getpid())
	if err != nil || !self.alive() {
		t.Errorf("this process: got %+v, %v, want alive", self, err)
	}
	self.Start++
	if self.alive() {
		t.Error("a process with this number and another start is taken for this one")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 41 " + strings.Repeat("0 ", 17) + "12345"))
	f.Add([]byte("7 (a) b)"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if _, err := parseStat(line); err == nil && !strings.Contains(string(line), ")") {
			t.Errorf("%q: no name, no error", line)
		}
	})
}

func TestBurst(t *testing.T) {
	for _, c := range []struct {
		rate string
		want int // 0: an error
	}{
		{"20mbit", 68 << 10}, {"100mbit", 125000}, {"1gbit", 1250000}, {"1.5Gbit", 1875000}, {"64kbit", 68 << 10}, {"200000000bit", 250000},
		{"", 0}, {"mbit", 0}, {"100", 0}, {"-1mbit", 0}, {"0mbit", 0}, {"nanmbit", 0}, {"infgbit", 0}, {"10mbps", 0},
	} {
		got, err := burstFor(c.rate)
		if c.want == 0 && err == nil || c.want != 0 && (err != nil || got != c.want) {
			t.Errorf("%q: got %d, %v, want %d", c.rate, got, err, c.want)
		}
	}
}
