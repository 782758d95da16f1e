package launcher

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Dashboard serves a live page about one job, or several that run one after
// another: the page of the report, with what is known so far. It is safe for
// concurrent use.
type Dashboard struct {
	server *http.Server
	ln     net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	options report.Options
	done    []*report.Run
	run     *report.Run   // the one that goes on; nil between jobs
	far     *progressLine // of it
	status  string        // said before what far says
	changed uint64        // counts what has been taken in
	ended   bool
	page    []byte // rendered for version, at
	version string
	at      time.Time
	viewers map[string]viewer // by address and browser
	left    chan struct{}     // closed and replaced whenever a viewer has taken a page
}

type viewer struct {
	seen time.Time
	took string // version
}

const (
	renderEvery = time.Second     // of a page that changes all the time
	viewerGone  = 4 * time.Second // without asking: pages ask each second
)

// NewDashboard starts to serve at addr, as net.Listen takes it. Close ends it.
func NewDashboard(addr string, o report.Options) (*Dashboard, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Wrap(err, "-dashboard")
	}
	d := &Dashboard{ln: ln, options: o, viewers: map[string]viewer{}, left: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.serve)
	mux.HandleFunc("GET /report.json", d.data)
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	d.wg.Go(func() { _ = d.server.Serve(ln) }) // returns when it is closed
	return d, nil
}

// URL is where a browser on this machine finds the page.
func (d *Dashboard) URL() string {
	host, port, _ := net.SplitHostPort(d.ln.Addr().String()) // it is an address
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// Begin says that a job starts.
func (d *Dashboard) Begin(info telemetry.JobInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run = report.NewRun(info)
	d.run.Live = true
	d.far = newProgressLine(info.Ranks, false)
	d.changed++
}

// event takes an event of the running job.
func (d *Dashboard) event(rank int, e *telemetry.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run != nil {
		d.run.Add(rank, e)
		d.far.event(rank, e)
		d.changed++
	}
}

// Status says how far things are, in a line.
func (d *Dashboard) Status(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = text
	d.changed++
}

// End says how the running job has ended.
func (d *Dashboard) End(info telemetry.JobInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil {
		return
	}
	d.run.Job, d.run.Live = info, false
	d.done, d.run = append(d.done, d.run), nil
	d.changed++
}

// Finish says that nothing more follows. It waits until the pages that are open
// have that, a few seconds at the most; with a hold, for as long as it says, and
// with a negative one until the context ends.
func (d *Dashboard) Finish(ctx context.Context, text string, hold time.Duration) {
	d.mu.Lock()
	d.ended, d.status = true, text
	d.changed++
	d.at = time.Time{} // rendered anew, and then no more
	d.mu.Unlock()
	switch {
	case hold < 0:
		<-ctx.Done()
		return
	case hold > 0:
		late := time.NewTimer(hold)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
		}
		return
	}
	late := time.NewTimer(viewerGone)
	defer late.Stop()
	for {
		waiting, left := d.behind()
		if !waiting {
			return
		}
		select {
		case <-left:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// behind reports whether an open page has not seen the end, and returns a
// channel that is closed when one has taken a state.
func (d *Dashboard) behind() (bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.viewers {
		if v.took != lastVersion && time.Since(v.seen) < viewerGone {
			return true, d.left
		}
	}
	return false, d.left
}

// Close ends the serving.
func (d *Dashboard) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := d.server.Shutdown(ctx)
	if err != nil { // somebody reads slowly
		err = d.server.Close()
	}
	d.wg.Wait()
	return errors.Wrap(err, "dashboard")
}

// lastVersion is the state after which nothing follows.
const lastVersion = "end"

// report is what is known so far, with mu.
func (d *Dashboard) report() *report.Report {
	runs := d.done
	if d.run != nil {
		runs = append(runs[:len(runs):len(runs)], d.run)
	}
	return report.New(runs, d.options)
}

// render brings the page up to date, with mu.
func (d *Dashboard) render() error {
	version := strconv.FormatUint(d.changed, 10)
	if d.ended {
		version = lastVersion
	}
	if version == d.version && !d.at.IsZero() || time.Since(d.at) < renderEvery {
		return nil
	}
	var b bytes.Buffer
	status := d.status
	if d.run != nil {
		status = strings.TrimSpace(status + " " + d.far.status().Text)
	}
	if err := d.report().Page(&b, report.Live{State: version, Status: status}); err != nil {
		return err
	}
	d.page, d.version, d.at = b.Bytes(), version, time.Now()
	return nil
}

// serve answers with the page; to ?after=VERSION only when there is a newer one.
func (d *Dashboard) serve(w http.ResponseWriter, q *http.Request) {
	after := q.URL.Query().Get("after")
	d.mu.Lock()
	err := d.render()
	page, version := d.page, d.version
	d.mu.Unlock()
	if err != nil {
		http.Error(w, strings.ReplaceAll(err.Error(), "\n", " "), http.StatusInternalServerError)
		return
	}
	defer d.took(q, version)
	w.Header().Set("Cache-Control", "no-store")
	if after == version {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	_, _ = w.Write(page) // a reader that went away
}

// took notes what a viewer has seen. Only pages that ask again are waited for.
func (d *Dashboard) took(q *http.Request, version string) {
	host, _, _ := net.SplitHostPort(q.RemoteAddr) // it is an address
	key := host + " " + q.UserAgent()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.viewers[key]; !known && (q.URL.Query().Get("after") == "" || len(d.viewers) > 1000) {
		return
	}
	d.viewers[key] = viewer{time.Now(), version}
	close(d.left)
	d.left = make(chan struct{})
}

// data answers with the numbers.
func (d *Dashboard) data(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	d.mu.Lock()
	err := d.report().JSON(&b)
	d.mu.Unlock()
	if err != nil {
		http.Error(w, strings.ReplaceAll(err.Error(), "\n", " "), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // a reader that went away
}

// linger serves the page of a job that has ended for as long as it is wanted: as
// long as hold says; else on a terminal until an interrupt, unless that was what
// ended the job; else until the pages that are open have the end.
func (d *Dashboard) linger(ctx context.Context, text string, hold time.Duration, interrupted bool, std Streams) {
	if hold == 0 && isTerminal(std.Stderr) && !interrupted {
		hold = -1
	}
	if hold != 0 {
		until := "until Ctrl-C"
		if hold > 0 {
			until = "for " + hold.String()
		}
		fmt.Fprintf(std.Stderr, "sspurn: the page stays at %s %s\n", d.URL(), until)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	wg.Go(func() {
		for {
			select {
			case sig := <-std.Signals:
				if sig == syscall.SIGINT || sig == syscall.SIGTERM {
					cancel()
					return
				}
			case <-done:
				return
			}
		}
	})
	d.Finish(ctx, text, hold)
}
