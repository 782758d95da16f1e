package telemetry

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processEvery is the least time between two "process" events.
const processEvery = time.Second

// process describes this process now.
func process() Event {
	e := Event{Kind: "process"}
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		e.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	}
	// Size and resident set in pages; absent on other systems than Linux.
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			e.RSS = pages * int64(os.Getpagesize())
		}
	}
	m := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}, {Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(m)
	if m[0].Value.Kind() == metrics.KindUint64 {
		e.Heap = int64(m[0].Value.Uint64())
	}
	if m[1].Value.Kind() == metrics.KindUint64 {
		e.Goroutines = int64(m[1].Value.Uint64())
	}
	if m[2].Value.Kind() == metrics.KindFloat64Histogram {
		h := m[2].Value.Float64Histogram()
		for i, n := range h.Counts {
			if n > 0 { // the lower bounds: buckets are narrow, and the last has no upper one
				e.GCPause += float64(n) * max(h.Buckets[i], 0)
			}
		}
	}
	return e
}
