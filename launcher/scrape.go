package launcher

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the metrics server, so that a slow or silent client holds nothing up.
const (
	scrapeWithin  = 10 * time.Second // from the request to the whole answer
	scrapesAtOnce = 8
	scrapeEnds    = 500 * time.Millisecond // for a scrape at the end of the job
)

// scrapeServer serves metrics to Prometheus, those of one job after another.
type scrapeServer struct {
	newest newest
	url    string
	server *http.Server
	wg     sync.WaitGroup
}

// newest collects the metrics of the job that runs, or ran last; before the first
// there are none.
type newest struct {
	is families
	of atomic.Pointer[metrics]
}

// Describe implements prometheus.Collector.
func (n *newest) Describe(out chan<- *prometheus.Desc) { n.is.describe(out) }

// Collect implements prometheus.Collector.
func (n *newest) Collect(out chan<- prometheus.Metric) {
	if m := n.of.Load(); m != nil {
		m.Collect(out)
	}
}

// follow has the server show m from now on.
func (s *scrapeServer) follow(m *metrics) { s.newest.of.Store(m) }

// announce says where the metrics are.
func (s *scrapeServer) announce(w io.Writer) { fmt.Fprintf(w, "sspurn: metrics at %s\n", s.url) }

// registryOf returns a registry of the job's metrics and the launcher's own.
func registryOf(m prometheus.Collector) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, errors.Wrap(err, "metrics")
		}
	}
	return r, nil
}

// serveMetrics starts to serve at addr under /metrics. Close ends it.
func serveMetrics(addr string) (*scrapeServer, error) {
	s := &scrapeServer{newest: newest{is: newFamilies()}}
	registry, err := registryOf(&s.newest)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Wrap(err, "metrics")
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesAtOnce}))
	s.url = "http://" + reachable(listener.Addr()) + "/metrics"
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: scrapeWithin / 2, ReadTimeout: scrapeWithin / 2, WriteTimeout: scrapeWithin, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16}
	s.wg.Go(func() { _ = s.server.Serve(listener) }) // until close
	return s, nil
}

// reachable returns an address for the user of this machine: a listener on all
// interfaces says so instead.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

// close ends the server. A scrape that is under way may end first, shortly.
func (s *scrapeServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeEnds)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // of what did not end in time
	}
	s.wg.Wait()
}
