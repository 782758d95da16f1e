package launcher

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// board starts a dashboard on a port of its own.
func board(t *testing.T) *Dashboard {
	t.Helper()
	d, err := NewDashboard("127.0.0.1:0", report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// The page follows the job, and the last state is the end.
func TestDashboard(t *testing.T) {
	d := board(t)
	info := telemetry.JobInfo{Program: "app", Ranks: 2, Start: time.Now(), Setting: "ssp:3"}
	if code, text := get(t, d.URL()); code != 200 || !strings.Contains(text, "data-live=") {
		t.Errorf("before the job: %d %s", code, text)
	}
	d.Begin(info)
	d.event(0, &telemetry.Event{Kind: "plan", Clocks: 10})
	d.event(1, &telemetry.Event{Kind: "clock", Clock: 4, Compute: 3, Gate: 1})
	d.mu.Lock()
	d.at = time.Time{} // as if a while had passed
	d.mu.Unlock()
	code, text := get(t, d.URL())
	if code != 200 || !strings.Contains(text, "clock 4 of 10") || !strings.Contains(text, "ssp:3") || strings.Contains(text, "not ended") {
		t.Errorf("in the job: %d %s", code, text)
	}
	_, version, _ := strings.Cut(text, `data-live="`)
	version, _, _ = strings.Cut(version, `"`)
	if code, text := get(t, d.URL()+"?after="+version); code != 204 || text != "" {
		t.Errorf("nothing new: %d, %d bytes", code, len(text))
	}
	if code, text := get(t, d.URL()+"report.json"); code != 200 || !strings.Contains(text, `"ssp:3"`) {
		t.Errorf("numbers: %d %s", code, text)
	}
	if code, _ := get(t, d.URL()+"other"); code != 404 {
		t.Errorf("another page: %d", code)
	}
	info.Ended = true
	d.End(info)
	// The end waits for the page that asked, and for no longer than it takes.
	var wg sync.WaitGroup
	finished := make(chan struct{})
	wg.Go(func() {
		d.Finish(context.Background(), "The job has ended.", 0)
		close(finished)
	})
	for {
		code, text := get(t, d.URL()+"?after="+version)
		if code == 200 && strings.Contains(text, `data-live="end"`) {
			if !strings.Contains(text, "The job has ended.") {
				t.Errorf("the last page does not say the end: %s", text)
			}
			break
		}
	}
	wg.Wait()
	<-finished
}

// Nobody watches: nobody is waited for.
func TestDashboardWithoutViewers(t *testing.T) {
	d := board(t)
	d.Begin(telemetry.JobInfo{Ranks: 1})
	get(t, d.URL()) // a look, not a page that stays open
	d.End(telemetry.JobInfo{Ranks: 1, Ended: true})
	start := time.Now()
	d.Finish(t.Context(), "", 0)
	if took := time.Since(start); took > viewerGone/2 {
		t.Errorf("it took %v", took)
	}
}

func TestDashboardHolds(t *testing.T) {
	d := board(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		d.Finish(ctx, "", -1)
		close(done)
	}()
	if code, _ := get(t, d.URL()); code != 200 {
		t.Errorf("status %d", code)
	}
	select {
	case <-done:
		t.Error("it did not hold")
	default:
	}
	cancel()
	<-done
	d.Finish(t.Context(), "", time.Millisecond)
}

// A page in a real browser follows the job to its end, and keeps its pictures
// when nobody serves them any more.
func TestDashboardInABrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	d := board(t)
	info := telemetry.JobInfo{Program: "app", Ranks: 2, Start: time.Now(), Setting: "ssp:3"}
	d.Begin(info)
	for i := range int64(20) {
		d.event(0, &telemetry.Event{Kind: "loss", Metric: "rmse", Better: "lower", Value: 9 - float64(i), Seconds: float64(i), Clocks: i, Pass: float64(i)})
		d.event(1, &telemetry.Event{Kind: "clock", Clock: i, Compute: float64(i), Gate: 1})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	// Time in the page runs ahead while it waits for nothing: it asks as fast as it is answered.
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=36000000", "--dump-dom", d.URL())
	cmd.WaitDelay = 5 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for { // until it asks for news
		d.mu.Lock()
		open, left := len(d.viewers) > 0, d.left
		d.mu.Unlock()
		if open {
			break
		}
		select {
		case <-left:
		case <-ctx.Done():
			t.Fatal("the page never asked for news")
		}
	}
	info.Ended = true
	d.End(info)
	d.Finish(ctx, "The job has ended.", 0)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // what it printed counts
	for _, want := range []string{"The job has ended. This page stays as it is.", `id="chart-loss-time"`, `id="chart-split-ssp-3"`, "rmse"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("after the end the page has no %q: %d bytes", want, len(text))
		}
	}
}
