package agent

import "testing"

func TestMonitor(t *testing.T) {
	var m Monitor
	silent := func(beats int) { // beats without a word, after which the other end is not gone
		t.Helper()
		for i := range beats {
			if d, gone := m.Beat(); gone {
				t.Fatalf("gone after %d beats, %v", i+1, d)
			}
		}
	}
	silent(silentBeats)
	m.Hear()
	silent(1 + silentBeats) // the first has heard
	if d, gone := m.Beat(); !gone || d <= Silence || d > Silence+PingEvery {
		t.Errorf("after more than %v: %v, %v", Silence, d, gone)
	}
	m.Hear()
	if d, gone := m.Beat(); gone || d != 0 {
		t.Errorf("after a word: %v, %v", d, gone)
	}
}
