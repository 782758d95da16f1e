package seeds

import "testing"

func TestCount(t *testing.T) {
	for _, c := range []struct {
		factor string
		want   uint64
	}{{"", 20}, {"1", 20}, {"50", 1000}} {
		t.Setenv(Factor, c.factor)
		if got := Count(t, 20); got != c.want {
			t.Errorf("%s=%q: got %d, want %d", Factor, c.factor, got, c.want)
		}
	}
}
