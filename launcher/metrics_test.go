package launcher

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// exercised returns metrics that have seen all there is.
func exercised(t *testing.T) *metrics {
	t.Helper()
	m := newMetrics(&Job{Program: "./app\xff", Args: []string{"-sync", "ssp:3"}, Emulate: "delay=1ms", Straggle: "rank=1,factor=4"}, 3)
	m.start = time.Unix(1000, 5e8)
	m.now = func() time.Time { return m.start.Add(2500 * time.Millisecond) }
	for _, line := range [][2]string{
		{"0", `{"ev":"clock","w":0,"c":5,"compute":1}`}, // replaced
		{"0", `{"ev":"clock","w":0,"c":12,"compute":3,"straggle":1,"gate":0.5,"miss":0.25,"flush":0.125,"reads":100,"fetches":7,"stale":[[-40,1],[-4,2],[-1,10],[0,80],[2,7]],"on":[[1,0.25],[2,0.25]]}`},
		{"0", `{"ev":"clock","w":1,"c":11,"reads":3,"stale":[[-100,3]],"on":[[2,0.5]]}`},
		{"0", `{"ev":"bytes","bytes":{"update":1,"fetch":2,"push":3,"control":4,"raw":60,"wire":1000}}`},
		{"0", `{"ev":"loss","metric":"rmse","better":"lower","v":2,"pass":1}`}, // replaced
		{"0", `{"ev":"loss","metric":"loglik","better":"higher","v":-7,"pass":1}`},
		{"0", `{"ev":"loss","metric":"rmse","better":"lower","v":0.5,"pass":3,"rate":1500,"goal":10}`},
		{"1", `{"ev":"process","cpu":1.5,"rss":4096,"heap":1024,"goroutines":9,"gc_pause":0.0625}`},
		{"1", `{"ev":"note","s":"17 record lines were dropped"}`},
		{"1", `{"ev":"note","s":"that record lines were dropped"}`},
		{"2", `{"ev":"of another version"}`},
	} {
		var e telemetry.Event
		if err := json.Unmarshal([]byte(line[1]), &e); err != nil {
			t.Fatal(err)
		}
		m.event(int(line[0][0]-'0'), &e)
	}
	m.became(0, rankJoined)
	m.became(0, rankStarted) // said late
	m.became(1, rankExited)
	return m
}

const wantMetrics = `
# HELP sspurn_job_goal_passes Passes that the job is going to make.
# TYPE sspurn_job_goal_passes gauge
sspurn_job_goal_passes 10
# HELP sspurn_job_info The job; always 1.
# TYPE sspurn_job_info gauge
sspurn_job_info{emulate="delay=1ms",program="./app�",ranks="3",straggle="rank=1,factor=4",sync="ssp:3",version="VERSION"} 1
# HELP sspurn_job_items_per_second Items that all ranks together process in a second.
# TYPE sspurn_job_items_per_second gauge
sspurn_job_items_per_second 1500
# HELP sspurn_job_loss Newest value of a figure of merit, and whether lower or higher is better.
# TYPE sspurn_job_loss gauge
sspurn_job_loss{better="higher",metric="loglik"} -7
sspurn_job_loss{better="lower",metric="rmse"} 0.5
# HELP sspurn_job_passes Passes over the data so far.
# TYPE sspurn_job_passes gauge
sspurn_job_passes 3
# HELP sspurn_job_running_seconds Time since the launcher began.
# TYPE sspurn_job_running_seconds gauge
sspurn_job_running_seconds 2.5
# HELP sspurn_job_start_time_seconds When the launcher began, since 1970.
# TYPE sspurn_job_start_time_seconds gauge
sspurn_job_start_time_seconds 1000.5
# HELP sspurn_rank_clocks_total Clocks that a worker has ended.
# TYPE sspurn_rank_clocks_total counter
sspurn_rank_clocks_total{rank="0",worker="0"} 12
sspurn_rank_clocks_total{rank="0",worker="1"} 11
# HELP sspurn_rank_cpu_seconds_total Processor time of a rank, user and system.
# TYPE sspurn_rank_cpu_seconds_total counter
sspurn_rank_cpu_seconds_total{rank="1"} 1.5
# HELP sspurn_rank_gate_seconds_total Time that the workers of a rank waited because a rank is behind.
# TYPE sspurn_rank_gate_seconds_total counter
sspurn_rank_gate_seconds_total{rank="0",waited_for="1"} 0.25
sspurn_rank_gate_seconds_total{rank="0",waited_for="2"} 0.75
# HELP sspurn_rank_gc_pause_seconds_total Time for which the garbage collector stopped a rank.
# TYPE sspurn_rank_gc_pause_seconds_total counter
sspurn_rank_gc_pause_seconds_total{rank="1"} 0.0625
# HELP sspurn_rank_goroutines Goroutines of a rank.
# TYPE sspurn_rank_goroutines gauge
sspurn_rank_goroutines{rank="1"} 9
# HELP sspurn_rank_heap_bytes Go heap of a rank that is in use.
# TYPE sspurn_rank_heap_bytes gauge
sspurn_rank_heap_bytes{rank="1"} 1024
# HELP sspurn_rank_read_staleness_clocks Clocks by which what was read was older than the reader, by reads.
# TYPE sspurn_rank_read_staleness_clocks histogram
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="0"} 87
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="1"} 97
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="2"} 97
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="3"} 97
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="5"} 99
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="8"} 99
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="13"} 99
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="21"} 99
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="34"} 99
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="55"} 100
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="89"} 100
sspurn_rank_read_staleness_clocks_bucket{rank="0",le="+Inf"} 103
sspurn_rank_read_staleness_clocks_sum{rank="0"} 358
sspurn_rank_read_staleness_clocks_count{rank="0"} 103
# HELP sspurn_rank_reads_total Rows read.
# TYPE sspurn_rank_reads_total counter
sspurn_rank_reads_total{rank="0",worker="0"} 100
sspurn_rank_reads_total{rank="0",worker="1"} 3
# HELP sspurn_rank_record_lines_dropped_total Record lines that a rank dropped because they were not taken; known when it ends.
# TYPE sspurn_rank_record_lines_dropped_total counter
sspurn_rank_record_lines_dropped_total{rank="0"} 0
sspurn_rank_record_lines_dropped_total{rank="1"} 17
sspurn_rank_record_lines_dropped_total{rank="2"} 0
# HELP sspurn_rank_resident_memory_bytes Memory of a rank that is in use.
# TYPE sspurn_rank_resident_memory_bytes gauge
sspurn_rank_resident_memory_bytes{rank="1"} 4096
# HELP sspurn_rank_row_fetches_total Rows asked for at other ranks.
# TYPE sspurn_rank_row_fetches_total counter
sspurn_rank_row_fetches_total{rank="0",worker="0"} 7
sspurn_rank_row_fetches_total{rank="0",worker="1"} 0
# HELP sspurn_rank_seconds_total Time of a worker: compute (outside the store), straggle (slept for -straggle), gate (waited because others are behind), miss (waited for rows), flush (handed updates over).
# TYPE sspurn_rank_seconds_total counter
sspurn_rank_seconds_total{kind="compute",rank="0",worker="0"} 2
sspurn_rank_seconds_total{kind="compute",rank="0",worker="1"} 0
sspurn_rank_seconds_total{kind="flush",rank="0",worker="0"} 0.125
sspurn_rank_seconds_total{kind="flush",rank="0",worker="1"} 0
sspurn_rank_seconds_total{kind="gate",rank="0",worker="0"} 0.5
sspurn_rank_seconds_total{kind="gate",rank="0",worker="1"} 0
sspurn_rank_seconds_total{kind="miss",rank="0",worker="0"} 0.25
sspurn_rank_seconds_total{kind="miss",rank="0",worker="1"} 0
sspurn_rank_seconds_total{kind="straggle",rank="0",worker="0"} 1
sspurn_rank_seconds_total{kind="straggle",rank="0",worker="1"} 0
# HELP sspurn_rank_sent_bytes_total Bytes of the store that left a rank, as they travelled, by class.
# TYPE sspurn_rank_sent_bytes_total counter
sspurn_rank_sent_bytes_total{class="control",rank="0"} 4
sspurn_rank_sent_bytes_total{class="fetch",rank="0"} 2
sspurn_rank_sent_bytes_total{class="push",rank="0"} 3
sspurn_rank_sent_bytes_total{class="update",rank="0"} 1
# HELP sspurn_rank_uncompressed_bytes_total Bytes of updates, fetches and pushes before compression.
# TYPE sspurn_rank_uncompressed_bytes_total counter
sspurn_rank_uncompressed_bytes_total{rank="0"} 60
# HELP sspurn_rank_wire_bytes_total All bytes that left a rank, headers included.
# TYPE sspurn_rank_wire_bytes_total counter
sspurn_rank_wire_bytes_total{rank="0"} 1000
# HELP sspurn_ranks Ranks by how far they have come.
# TYPE sspurn_ranks gauge
sspurn_ranks{state="exited"} 1
sspurn_ranks{state="joined"} 1
sspurn_ranks{state="planned"} 1
sspurn_ranks{state="started"} 0
`

func TestMetrics(t *testing.T) {
	m := exercised(t)
	want := strings.ReplaceAll(wantMetrics, "VERSION", Version())
	if err := testutil.CollectAndCompare(m, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	registry, err := registryOf(m)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var none *metrics
	none.became(1, rankExited)
}

// A scrape over HTTP shows the same, and the launcher's own process; after the
// end nothing is left that listens.
func TestScrape(t *testing.T) {
	m := exercised(t)
	s, err := serveMetrics("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := httpGet(s.url); err != nil || strings.Contains(text, "sspurn_") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Errorf("before the first job: %q (%v)", text, err)
	}
	s.follow(newMetrics(&Job{Program: "before", Setting: "bsp"}, 1))
	s.follow(m)
	names := []string{"sspurn_rank_clocks_total", "sspurn_rank_read_staleness_clocks", "sspurn_ranks", "sspurn_job_loss"}
	if err := testutil.ScrapeAndCompare(s.url, strings.NewReader(onlyMetrics(wantMetrics, names)), names...); err != nil {
		t.Error(err)
	}
	text, err := httpGet(s.url)
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q (%v)", want, err)
		}
	}
	// Scrapes and events at the same time.
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 1000 {
			m.event(i%3, &telemetry.Event{Kind: "clock", Worker: i % 5, Clock: int64(i), Stale: [][2]int64{{-1, 2}}})
		}
	})
	for range 10 {
		if _, err := httpGet(s.url); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	silent, err := net.Dial("tcp", strings.Split(s.url, "/")[2]) // says nothing, and holds nothing up
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s.close()
	s.close()
	if _, err := httpGet(s.url); err == nil {
		t.Error("served after the end")
	}
}

// onlyMetrics returns the lines of a text that are of the named metrics.
func onlyMetrics(text string, names []string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		for _, name := range names {
			rest, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), name)
			if ok && strings.ContainsAny(rest[:1], " {_") && !(name == "sspurn_ranks" && rest[0] == '_') {
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

func httpGet(url string) (string, error) {
	answer, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return string(text), err
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{"0.0.0.0:9090": "127.0.0.1:9090", "[::]:9090": "127.0.0.1:9090", "[::1]:80": "[::1]:80", "10.1.2.3:5": "10.1.2.3:5"} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// A metric is worked out when it is asked for: an event costs next to nothing.
func BenchmarkMetricsEvent(b *testing.B) {
	m := newMetrics(&Job{}, 8)
	e := &telemetry.Event{Kind: "clock", Worker: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.event(3, e)
	}
}
