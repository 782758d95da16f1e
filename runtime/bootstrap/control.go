package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"
)

const (
	// Record lines travel together, and those of all ranks of a host at the same
	// moments of its clock: to handle one wakes goroutines and threads here, in the
	// agent and in the launcher, which costs more than what is in it.
	gatherEvery  = 500 * time.Millisecond // between those moments
	gatherBytes  = 64 << 10               // of lines do not wait for the next one
	recordQueue  = 2 * MaxLine            // bytes of them that may wait for the agent
	finishWithin = 2 * time.Second        // for the last lines to reach the agent
)

// ErrClosed is returned by a Control whose channel to the agent has ended.
var ErrClosed = stderrors.New("the channel to the agent is closed")

// LossError is what Roster returns when a rank was lost before all had joined.
// The loss is also yielded by Losses.
type LossError struct{ Loss Loss }

func (e *LossError) Error() string {
	return fmt.Sprintf("rank %d on %s was lost before all ranks had joined: %s", e.Loss.Rank, e.Loss.Host, e.Loss.Cause)
}

// control is the rank's end of the socket that it inherited from its agent.
type control struct {
	conn net.Conn

	losses chan Loss     // one place for each rank, so that the reader never waits; closed by the reader
	roster chan []Peer   // size 1
	early  chan Loss     // size 1: the first loss, for Roster
	ended  chan struct{} // closed when the reader returns

	rank    int
	queue   sync.Mutex
	records []byte        // whole lines for the writer, see recordQueue; guarded by queue
	lines   int64         // in records; guarded by queue
	first   chan struct{} // size 1: there are records
	full    chan struct{} // size 1: there are gatherBytes of them
	dropped atomic.Int64
	stop    chan struct{} // closed by Finish: the writer drains and returns
	drained chan struct{} // closed by the writer when it returns

	write sync.Mutex // one line at a time on conn

	finish  sync.Once
	verdict error
	wg      sync.WaitGroup
}

func newControl(conn net.Conn, in *MessageReader, rank, size int) *control {
	c := &control{
		conn:    conn,
		losses:  make(chan Loss, size),
		roster:  make(chan []Peer, 1),
		early:   make(chan Loss, 1),
		ended:   make(chan struct{}),
		rank:    rank,
		first:   make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		drained: make(chan struct{}),
	}
	c.wg.Go(func() { c.read(in, size) })
	c.wg.Go(c.writeRecords)
	return c
}

// read hands on what the agent says until the channel ends.
func (c *control) read(in *MessageReader, size int) {
	defer close(c.ended)
	defer close(c.losses)
	told := make([]bool, size)
	for {
		m, err := in.Read()
		if err != nil {
			return
		}
		switch m.Kind {
		case KindRoster:
			select {
			case c.roster <- m.Roster:
			default: // said twice
			}
		case KindLost:
			if m.Loss.Rank >= size || told[m.Loss.Rank] {
				continue
			}
			told[m.Loss.Rank] = true
			select {
			case c.early <- *m.Loss:
			default:
			}
			c.losses <- *m.Loss
		}
	}
}

func (c *control) Losses() <-chan Loss { return c.losses }

func (c *control) Roster(ctx context.Context, self Peer) ([]Peer, error) {
	if err := c.send(Message{Kind: KindListening, Self: &self}); err != nil {
		return nil, err
	}
	select {
	case peers := <-c.roster:
		return peers, nil
	case l := <-c.early:
		return nil, &LossError{Loss: l}
	case <-c.ended:
		return nil, errors.WithMessage(ErrClosed, "joining")
	case <-ctx.Done():
		return nil, errors.WithMessage(context.Cause(ctx), "joining: waiting for the other ranks")
	}
}

func (c *control) Record(line []byte) {
	// Whether it is JSON all through the agent finds out; to look twice costs more
	// than to make it.
	if n := len(line); n < 2 || line[0] != '{' || line[n-1] != '}' || bytes.IndexByte(line, '\n') >= 0 {
		c.dropped.Add(1)
		return
	}
	size := len(recordBefore) + len(line) + len(recordAfter)
	c.queue.Lock()
	defer c.queue.Unlock()
	if size > MaxLine || len(c.records)+size > recordQueue {
		c.dropped.Add(1)
		return
	}
	had := len(c.records)
	c.records = append(c.records, recordBefore...)
	c.records = append(c.records, line...)
	c.records = append(c.records, recordAfter...)
	c.lines++
	if had == 0 {
		signal(c.first)
	}
	if had < gatherBytes && len(c.records) >= gatherBytes {
		signal(c.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}

// writeRecords sends record lines until Finish says stop, and then what is
// still queued.
func (c *control) writeRecords() {
	defer close(c.drained)
	late := time.NewTimer(gatherEvery)
	defer late.Stop()
	var spare []byte
	for more := true; more; {
		select {
		case <-c.first:
			late.Reset(gatherEvery - time.Duration(time.Now().UnixNano())%gatherEvery)
			select {
			case <-late.C:
			case <-c.full:
			case <-c.stop:
				more = false
			}
		case <-c.stop:
			more = false
		}
		c.queue.Lock()
		out, lines := c.records, c.lines
		c.records, c.lines = spare[:0], 0
		c.queue.Unlock()
		c.put(out, lines)
		if spare = out; cap(spare) > 4*gatherBytes {
			spare = nil
		}
	}
}

// put writes record lines; those that can not be written are counted.
func (c *control) put(out []byte, lines int64) {
	if len(out) == 0 {
		return
	}
	c.write.Lock()
	defer c.write.Unlock()
	if _, err := c.conn.Write(out); err != nil {
		c.dropped.Add(lines)
	}
}

func (c *control) send(m Message) error {
	line, err := AppendMessage(nil, m)
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	_, err = c.conn.Write(line)
	return errors.Wrap(err, "control channel")
}

// Finish sends the record lines that still wait, then the verdict, and closes
// the channel. Repeated calls return what the first returned.
func (c *control) Finish(v Verdict) error {
	c.finish.Do(func() {
		// An agent that does not read any more must not hold the process up.
		err := errors.Wrap(c.conn.SetWriteDeadline(time.Now().Add(finishWithin)), "control channel")
		close(c.stop)
		<-c.drained
		if n := c.dropped.Load(); n > 0 {
			note := fmt.Sprintf(`{"ev":"note","t":0,"rank":%d,"s":"%d record lines were dropped"}`, c.rank, n)
			err = stderrors.Join(err, c.send(Message{Kind: KindRecord, Record: json.RawMessage(note)}))
		}
		err = stderrors.Join(err, c.send(Message{Kind: KindVerdict, Verdict: &v}))
		err = stderrors.Join(err, errors.Wrap(c.conn.Close(), "control channel"))
		c.wg.Wait()
		c.verdict = err
	})
	return c.verdict
}
