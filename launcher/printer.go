package launcher

import (
	"os"
	"sync"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// idleFlush is how long a part of a line waits at most before it is shown.
const idleFlush = 100 * time.Millisecond

// nobody is the rank of a chunk that is a line of the launcher's own.
const nobody = -1

// chunk is output of a rank, on its way to where it is shown.
type chunk struct {
	rank   int
	stream agent.Stream
	data   []byte      // empty: the rank says no more
	taken  func(n int) // called once the data has been taken over
}

// display is where a sink writes. All calls come from one goroutine.
type display interface {
	put(rank int, stream agent.Stream, data []byte) error
	say(line []byte) error // to standard error, whatever becomes of the ranks' output
	waiting() bool         // a part of a line is held back
	flush() error          // write such parts
	ended(rank int) error
	unfinished() bool // the last thing written is a part of a line
	close() error
}

// sink is one place where output goes, with the goroutine that writes to it.
// Chunks queue up only against credits of the ranks.
type sink struct {
	to   display
	idle bool     // show parts of lines when nothing comes
	term *os.File // where the progress line goes; nil: nowhere

	mu     sync.Mutex
	queue  []chunk       // guarded by mu
	status *string       // guarded by mu: progress line to show; nil: as it is
	closed bool          // guarded by mu
	wake   chan struct{} // size 1
	wg     sync.WaitGroup

	gone func() // told when the reader of the output has gone

	shown string // owned by run: the progress line on the screen
	err   error  // owned by run, then by close: first failure
}

func newSink(to display, idle bool, term *os.File, gone func()) *sink {
	s := &sink{to: to, idle: idle, term: term, gone: gone, wake: make(chan struct{}, 1)}
	s.wg.Go(s.run)
	return s
}

func (s *sink) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) put(c chunk) { s.change(func() { s.queue = append(s.queue, c) }) }

// progress sets the progress line; "" removes it.
func (s *sink) progress(text string) { s.change(func() { s.status = &text }) }

// close writes what is queued and returns the first failure.
func (s *sink) close() error {
	s.change(func() { s.closed = true })
	s.wg.Wait()
	return s.err
}

// run writes until close. After a failure chunks are dropped.
func (s *sink) run() {
	idle := time.NewTimer(idleFlush)
	defer idle.Stop()
	for {
		s.mu.Lock()
		queue, status, closed := s.queue, s.status, s.closed
		s.queue, s.status = nil, nil
		s.mu.Unlock()
		if len(queue) > 0 {
			s.show("")
		}
		for _, c := range queue {
			s.do(func() error {
				switch {
				case c.rank == nobody:
					return s.to.say(c.data)
				case len(c.data) == 0:
					return s.to.ended(c.rank)
				}
				return s.to.put(c.rank, c.stream, c.data)
			})
			if c.taken != nil {
				c.taken(len(c.data))
			}
		}
		if status != nil && !s.to.unfinished() {
			s.show(*status)
		}
		if closed && len(queue) == 0 {
			s.show("")
			s.do(s.to.close)
			return
		}
		if len(queue) > 0 {
			continue // more may have come, and the wake for it been taken
		}
		var timeout <-chan time.Time
		if s.idle && s.to.waiting() {
			idle.Reset(idleFlush)
			timeout = idle.C
		}
		select {
		case <-s.wake:
		case <-timeout:
			s.show("")
			s.do(s.to.flush)
		}
	}
}

// do writes unless writing has failed before.
func (s *sink) do(write func() error) {
	if s.err == nil {
		s.err = errors.Wrap(write(), "output")
		if stderrors.Is(s.err, syscall.EPIPE) {
			s.gone()
		}
	}
}

// show replaces the progress line on the screen.
func (s *sink) show(text string) {
	if s.term == nil {
		return
	}
	// A line that wraps can not be replaced.
	if text = fitted(s.term, text); text == s.shown {
		return
	}
	s.shown = text
	s.do(func() error {
		_, err := s.term.WriteString("\r\x1b[K" + text)
		return err
	})
}

// printer takes the output of all ranks to where it belongs.
type printer struct {
	sinks [2]*sink        // of stdout and stderr; the same one when both are terminals
	words []lastWords     // of each rank
	tails []tailBuffer    // what each rank wrote last to standard output
	deaf  <-chan struct{} // closed when a reader of the output has gone
}

// newPrinter starts the goroutines that write. Close ends them.
func newPrinter(job *Job, ranks int, std Streams) (*printer, error) {
	deaf := make(chan struct{})
	gone := sync.OnceFunc(func() { close(deaf) })
	p := &printer{deaf: deaf, words: make([]lastWords, ranks), tails: make([]tailBuffer, ranks)}
	outTerm, errTerm := isTerminal(std.Stdout), isTerminal(std.Stderr)
	term := std.Stderr
	if !errTerm {
		term = nil
	}
	if job.OutputDir != "" {
		err := prepareOutput(job.OutputDir)
		if err != nil && !job.spare.outputs() {
			return nil, err
		}
		f := format{timestamp: job.Timestamp, now: time.Now}
		var to display = &fileWriter{dir: job.OutputDir, format: f, diag: std.Stderr, files: make(map[source]*outputFile)}
		if job.spare.outputs() {
			to = &sparing{display: to, dir: job.OutputDir, spare: job.spare, failed: err != nil}
		}
		s := newSink(to, false, term, gone)
		p.sinks = [2]*sink{s, s}
		if err != nil && job.spare.first() {
			s.put(chunk{rank: nobody, stream: agent.Stderr, data: []byte(outputLost(job.OutputDir, err))})
		}
		return p, nil
	}
	f := format{tag: job.Tag == On || job.Tag != Off && ranks > 1 && outTerm, timestamp: job.Timestamp, now: time.Now}
	raw := ranks == 1 && !f.tag && !f.timestamp
	lines := func() display {
		return newLineWriter(f, raw, func(stream agent.Stream, b []byte) error {
			out := std.Stdout
			if stream == agent.Stderr {
				out = std.Stderr
			}
			_, err := out.Write(b)
			return err
		})
	}
	if outTerm && errTerm {
		s := newSink(lines(), true, term, gone)
		p.sinks = [2]*sink{s, s}
	} else {
		p.sinks = [2]*sink{newSink(lines(), outTerm, nil, gone), newSink(lines(), errTerm, term, gone)}
	}
	return p, nil
}

// prepareOutput makes the directory for the output and removes that of an earlier
// run. The ranks' files are made when there is output.
func prepareOutput(dir string) error {
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, ".sspurn-"); err == nil {
			err = stderrors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err == nil {
		err = removeOld(dir, "rank-*.out", "rank-*.err")
	}
	return errors.Wrap(err, "output directory")
}

// each calls f for each sink once.
func (p *printer) each(f func(*sink)) {
	f(p.sinks[agent.Stdout])
	if p.sinks[agent.Stderr] != p.sinks[agent.Stdout] {
		f(p.sinks[agent.Stderr])
	}
}

// put takes over output of a rank; it does not wait. It keeps the data until it
// has called taken.
func (p *printer) put(c chunk) {
	if c.stream == agent.Stderr {
		p.words[c.rank].write(c.data)
	} else {
		_, _ = p.tails[c.rank].Write(c.data) // never fails
	}
	p.sinks[c.stream].put(c)
}

// drained tells that the rank prints no more.
func (p *printer) drained(rank int) { p.each(func(s *sink) { s.put(chunk{rank: rank}) }) }

// say shows a line of the launcher's own among the ranks' on standard error.
func (p *printer) say(text string) {
	p.sinks[agent.Stderr].put(chunk{rank: nobody, stream: agent.Stderr, data: []byte("sspurn: " + text + "\n")})
}

// progress sets the progress line.
func (p *printer) progress(text string) { p.sinks[agent.Stderr].progress(text) }

// tail returns what the rank printed last, to standard error by preference, and how
// its last panic began.
func (p *printer) tail(rank int) []string {
	if lines := p.words[rank].lines(); len(lines) > 0 {
		return lines
	}
	return p.tails[rank].lines(tailLines)
}

// close writes everything that was put.
func (p *printer) close() error {
	var err error
	p.each(func(s *sink) { err = stderrors.Join(err, s.close()) })
	return err
}

// closeWithin is close for somebody who does not want to wait for a reader that
// does not read: what is not written in time is lost.
func (p *printer) closeWithin(d time.Duration) error {
	closed := make(chan error, 1)
	go func() { closed <- p.close() }() // nothing else wakes a blocked write; it ends with the process
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		return errors.Errorf("output was not taken within %v", d)
	}
}
