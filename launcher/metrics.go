package launcher

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// rankState is how far a rank has come.
type rankState int

const (
	rankPlanned rankState = iota // its process is not running yet
	rankStarted                  // it is
	rankJoined                   // and the rank has joined the job
	rankExited
	rankStates
)

func (s rankState) String() string {
	return [rankStates]string{"planned", "started", "joined", "exited"}[s]
}

// metrics is what Prometheus is shown of a job. The newest events are kept as
// they are, and what they mean is worked out when it is asked for. It is safe
// for concurrent use.
type metrics struct {
	is    families
	info  []string // the values of families.info
	start time.Time
	now   func() time.Time

	mu     sync.Mutex
	ranks  []rankMetrics                  // guarded by mu
	losses map[[2]string]*telemetry.Event // guarded by mu: the newest by metric and what is better
	loss   *telemetry.Event               // guarded by mu: the newest of all; nil: none
}

// rankMetrics are the newest events of a rank; nil: none yet.
type rankMetrics struct {
	state   rankState
	workers map[int]*telemetry.Event // "clock"
	bytes   *telemetry.Event
	process *telemetry.Event
	dropped int
}

func newMetrics(job *Job, ranks int) *metrics {
	setting := job.Setting
	if setting == "" {
		setting = report.SyncOf(&telemetry.JobInfo{Args: job.Args})
	}
	m := &metrics{is: newFamilies(), start: time.Now(), now: time.Now, ranks: make([]rankMetrics, ranks), losses: make(map[[2]string]*telemetry.Event)}
	for _, v := range []string{job.Program, strconv.Itoa(ranks), setting, job.Emulate, job.Straggle, Version()} {
		m.info = append(m.info, strings.ToValidUTF8(v, "\ufffd"))
	}
	return m
}

// became notes that the rank has come to a state, if it was not further
// already. It does nothing without m.
func (m *metrics) became(rank int, s rankState) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ranks[rank].state = max(m.ranks[rank].state, s)
}

// droppedNote is how a rank's last note says what is missing.
const droppedNote = " record lines were dropped"

func (m *metrics) event(rank int, e *telemetry.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &m.ranks[rank]
	switch e.Kind {
	case "clock":
		if r.workers == nil {
			r.workers = make(map[int]*telemetry.Event)
		}
		r.workers[e.Worker] = e
	case "bytes":
		r.bytes = e
	case "process":
		r.process = e
	case "loss":
		m.losses[[2]string{e.Metric, e.Better}] = e
		m.loss = e
	case "note":
		if n, ok := strings.CutSuffix(e.Text, droppedNote); ok {
			if n, err := strconv.Atoi(n); err == nil {
				r.dropped = n
			}
		}
	}
}

// families describes each metric.
type families struct {
	info, ranks, running, start, loss, passes, goal, rate          *prometheus.Desc // of the job
	clocks, seconds, waits, reads, fetches, stale, sent, raw, wire *prometheus.Desc // of ranks
	cpu, resident, heap, goroutines, pauses, dropped               *prometheus.Desc // of their processes
}

func newFamilies() families {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sspurn_"+name, help, labels, nil)
	}
	return families{
		info:    d("job_info", "The job; always 1.", "program", "ranks", "sync", "emulate", "straggle", "version"),
		ranks:   d("ranks", "Ranks by how far they have come.", "state"),
		running: d("job_running_seconds", "Time since the launcher began."),
		start:   d("job_start_time_seconds", "When the launcher began, since 1970."),
		loss:    d("job_loss", "Newest value of a figure of merit, and whether lower or higher is better.", "metric", "better"),
		passes:  d("job_passes", "Passes over the data so far."),
		goal:    d("job_goal_passes", "Passes that the job is going to make."),
		rate:    d("job_items_per_second", "Items that all ranks together process in a second."),

		clocks:  d("rank_clocks_total", "Clocks that a worker has ended.", "rank", "worker"),
		seconds: d("rank_seconds_total", "Time of a worker: compute (outside the store), straggle (slept for -straggle), gate (waited because others are behind), miss (waited for rows), flush (handed updates over).", "rank", "worker", "kind"),
		waits:   d("rank_gate_seconds_total", "Time that the workers of a rank waited because a rank is behind.", "rank", "waited_for"),
		reads:   d("rank_reads_total", "Rows read.", "rank", "worker"),
		fetches: d("rank_row_fetches_total", "Rows asked for at other ranks.", "rank", "worker"),
		stale:   d("rank_read_staleness_clocks", "Clocks by which what was read was older than the reader, by reads.", "rank"),
		sent:    d("rank_sent_bytes_total", "Bytes of the store that left a rank, as they travelled, by class.", "rank", "class"),
		raw:     d("rank_uncompressed_bytes_total", "Bytes of updates, fetches and pushes before compression.", "rank"),
		wire:    d("rank_wire_bytes_total", "All bytes that left a rank, headers included.", "rank"),

		cpu:        d("rank_cpu_seconds_total", "Processor time of a rank, user and system.", "rank"),
		resident:   d("rank_resident_memory_bytes", "Memory of a rank that is in use.", "rank"),
		heap:       d("rank_heap_bytes", "Go heap of a rank that is in use.", "rank"),
		goroutines: d("rank_goroutines", "Goroutines of a rank.", "rank"),
		pauses:     d("rank_gc_pause_seconds_total", "Time for which the garbage collector stopped a rank.", "rank"),
		dropped:    d("rank_record_lines_dropped_total", "Record lines that a rank dropped because they were not taken; known when it ends.", "rank"),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) { m.is.describe(out) }

func (f *families) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		f.info, f.ranks, f.running, f.start, f.loss, f.passes, f.goal, f.rate,
		f.clocks, f.seconds, f.waits, f.reads, f.fetches, f.stale, f.sent, f.raw, f.wire,
		f.cpu, f.resident, f.heap, f.goroutines, f.pauses, f.dropped,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, x := range m.collect() { // no lock is held while somebody takes them
		out <- x
	}
}

// collection is what a scrape is going to get.
type collection []prometheus.Metric

func (c *collection) add(t prometheus.ValueType, d *prometheus.Desc, v float64, labels ...string) {
	*c = append(*c, prometheus.MustNewConstMetric(d, t, v, labels...)) // as many labels as newFamilies names, in UTF-8
}

func (c *collection) gauge(d *prometheus.Desc, v float64, labels ...string) {
	c.add(prometheus.GaugeValue, d, v, labels...)
}

func (c *collection) counter(d *prometheus.Desc, v float64, labels ...string) {
	c.add(prometheus.CounterValue, d, v, labels...)
}

func (m *metrics) collect() (c collection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.gauge(m.is.info, 1, m.info...)
	c.gauge(m.is.running, m.now().Sub(m.start).Seconds())
	c.gauge(m.is.start, float64(m.start.UnixNano())/1e9)
	for key, e := range m.losses {
		c.gauge(m.is.loss, e.Value, key[0], key[1])
	}
	if m.loss != nil {
		c.gauge(m.is.passes, m.loss.Pass)
		c.gauge(m.is.rate, m.loss.Rate)
		if m.loss.Goal > 0 {
			c.gauge(m.is.goal, m.loss.Goal)
		}
	}
	var states [rankStates]int
	for i := range m.ranks {
		states[m.ranks[i].state]++
		m.rank(&c, strconv.Itoa(i), &m.ranks[i])
	}
	for s, n := range states {
		c.gauge(m.is.ranks, float64(n), rankState(s).String())
	}
	return c
}

// rank adds the metrics of a rank, with mu.
func (m *metrics) rank(c *collection, rank string, r *rankMetrics) {
	waits, stale := make(map[int]float64), make(map[int64]int64)
	for index, e := range r.workers {
		worker := strconv.Itoa(index)
		c.counter(m.is.clocks, float64(e.Clock), rank, worker)
		c.counter(m.is.reads, float64(e.Reads), rank, worker)
		c.counter(m.is.fetches, float64(e.Fetches), rank, worker)
		for kind, s := range map[string]float64{"compute": max(0, e.Compute-e.Straggle), "straggle": e.Straggle, "gate": e.Gate, "miss": e.Miss, "flush": e.Flush} {
			c.counter(m.is.seconds, s, rank, worker, kind)
		}
		for _, on := range e.On {
			waits[int(on[0])] += on[1]
		}
		for _, s := range e.Stale {
			stale[max(0, -s[0])] += s[1] // a copy that is newer than its reader is not stale
		}
	}
	for on, s := range waits {
		c.counter(m.is.waits, s, rank, strconv.Itoa(on))
	}
	if len(stale) > 0 {
		*c = append(*c, staleness(m.is.stale, stale, rank))
	}
	if r.bytes != nil {
		for class, n := range r.bytes.Bytes {
			switch class {
			case "raw":
				c.counter(m.is.raw, float64(n), rank)
			case "wire":
				c.counter(m.is.wire, float64(n), rank)
			default:
				c.counter(m.is.sent, float64(n), rank, class)
			}
		}
	}
	if p := r.process; p != nil {
		c.counter(m.is.cpu, p.CPU, rank)
		c.gauge(m.is.resident, float64(p.RSS), rank)
		c.gauge(m.is.heap, float64(p.Heap), rank)
		c.gauge(m.is.goroutines, float64(p.Goroutines), rank)
		c.counter(m.is.pauses, p.GCPause, rank)
	}
	c.counter(m.is.dropped, float64(r.dropped), rank)
}

// staleness makes a histogram of exact counts.
func staleness(d *prometheus.Desc, counts map[int64]int64, rank string) prometheus.Metric {
	buckets := make(map[float64]uint64)
	for _, upper := range []float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89} {
		buckets[upper] = 0
	}
	var all uint64
	sum := 0.0
	for s, n := range counts {
		if n <= 0 { // not of this program
			continue
		}
		all += uint64(n)
		sum += float64(s) * float64(n)
		for upper := range buckets {
			if float64(s) <= upper {
				buckets[upper] += uint64(n)
			}
		}
	}
	return prometheus.MustNewConstHistogram(d, all, sum, buckets, rank)
}
