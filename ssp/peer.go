package ssp

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/rowcache"
)

// peer is what this rank has of one owner's rows.
type peer[T Elem] struct {
	mu     sync.Mutex // held for a bounded number of rows
	cache  *rowcache.Cache[T]
	notify chan struct{} // closed at news; nil when nobody waits
	parked bool          // the last answer waited for the owner's clock
	last   int           // the rank that raised the clock of the last answer or push; negative: none
}

// install takes the rows of a block.
func (t *Table[T]) install(owner int, d *codec.Decoder) error {
	p := &t.peers[owner]
	if p.cache == nil {
		return errors.Errorf("table %s: rows from rank %d", t.spec.Name, owner)
	}
	h := d.Header()
	more := d.NextRow()
	for more {
		p.mu.Lock()
		for n := 0; more && n < lockRows; n++ {
			if row := d.Row(); row >= t.spec.Rows || t.owner(row) != owner {
				p.mu.Unlock()
				return errors.Errorf("table %s: row %d from rank %d", t.spec.Name, row, owner)
			}
			if err := p.cache.Install(d, h.Epoch, d.Age(), h.Version+uint64(h.Branch), h.ID); err != nil {
				p.mu.Unlock()
				return err
			}
			more = d.NextRow()
		}
		p.parked, p.last = h.Flags&codec.Parked != 0, h.Last-1
		if !more {
			p.wake()
		}
		p.mu.Unlock()
	}
	return d.Err()
}

// lockRows is the number of rows for which a lock of a cache is held at most.
const lockRows = 128

// told takes the clock and the version of a push, whose rows are installed.
func (t *Table[T]) told(owner int, h codec.Header) {
	p := &t.peers[owner]
	p.mu.Lock()
	p.last = h.Last - 1
	p.cache.Pushed(h.Epoch, h.Clock, h.Version, h.ID)
	p.wake()
	p.mu.Unlock()
}

// wake wakes who waits for news, with p.mu.
func (p *peer[T]) wake() {
	if p.notify != nil {
		close(p.notify)
		p.notify = nil
	}
}

// news returns a channel that is closed at the next news, with p.mu.
func (p *peer[T]) news() <-chan struct{} {
	if p.notify == nil {
		p.notify = make(chan struct{})
	}
	return p.notify
}

// answerBytes is about the length of an answer to a request.
const answerBytes = 256 << 10

// fetch asks an owner for rows of at least an age; they are installed when they
// come. It returns how many these are: a row may repeat, one that was wanted anew
// when an older request for it had been answered. It orders rows, which are the
// caller's again afterwards.
func (t *Table[T]) fetch(owner int, rows []int64, age int64) (asked int) {
	slices.Sort(rows)
	rows = slices.Compact(rows)
	asked = len(rows)
	chunk := max(1, answerBytes/(t.wire*codec.TypeOf[T]().Size()))
	if t.spec.Sparse {
		chunk = 4096
	}
	flags := codec.Flags(0)
	if t.spec.Policy.pushes() {
		flags = codec.Subscribe
	}
	s := t.s
	link := &s.links[owner]
	for len(rows) > 0 {
		n := min(chunk, len(rows))
		var e codec.Encoder
		e.Begin(nil, codec.Header{Kind: codec.Request, Flags: flags, Rank: s.rank})
		e.Table(codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.wire, Age: age})
		for _, row := range rows[:n] {
			e.Want(row)
		}
		msg := e.End()
		rows = rows[n:]
		link.fetched(len(msg))
		s.crew.spawn(func(ctx context.Context) {
			start := time.Now()
			reply, err := t.port.Call(ctx, owner, msg)
			took := time.Since(start)
			waited, head := binary.Uvarint(reply)
			if err == nil && head <= 0 {
				err = errors.Errorf("an answer of %d bytes", len(reply))
			}
			if err == nil {
				err = s.install(owner, reply[head:], t.id)
			}
			if err == nil {
				took = max(0, took-time.Duration(waited)*time.Microsecond)
				link.took(len(msg)+len(reply), took)
				s.budget.took(s, len(msg)+len(reply), took)
				return
			}
			if ctx.Err() == nil {
				s.fail(errors.WithMessagef(err, "table %s: fetch %d rows from rank %d", t.spec.Name, n, owner))
			}
		})
	}
	return asked
}
