package ssp

import (
	"context"
	"iter"
	"strconv"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Owned ranges over the rows that this rank owns, in order: all rows, or, of a
// table of more than two million rows a rank, those that have been used. A row's
// slice is good until the next one. It is called after Sync and before the next
// Clock, outside Work.
func (t *Table[T]) Owned() iter.Seq2[int64, []T] {
	return func(yield func(int64, []T) bool) {
		// Some rows at a time: others may want the lock, the caller too.
		x := make([]T, t.spec.Width)
		some := slab.NewRows[T](t.spec.Width, t.spec.Sparse)
		some.Grow(ownedRows)
		rows := make([]int64, 0, ownedRows)
		for from := int64(0); from >= 0; {
			rows = rows[:0]
			next := int64(-1)
			t.s.mu.Lock()
			t.own.Each(from, func(row int64, slot int) bool {
				if len(rows) == ownedRows {
					next = t.local(row)
					return false
				}
				some.Set(len(rows), t.own.Data(), slot)
				rows = append(rows, row)
				return true
			})
			t.s.mu.Unlock()
			for i, row := range rows {
				some.CopyTo(x, i)
				if !yield(row, x) {
					return
				}
			}
			from = next
		}
	}
}

// ownedRows is how many rows Owned copies at a time.
const ownedRows = 1 << 10

func (t *Table[T]) scan(e *codec.Encoder, from int64, bytes int) int64 {
	b := codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.wire}
	e.Table(b)
	return t.own.Scan(e, from, bytes)
}

// answerScan answers a Call of Collect.
func (s *Store) answerScan(m *runtime.Message, d *codec.Decoder) error {
	s.wmu.Lock()
	tables := s.tables
	s.wmu.Unlock()
	if !d.NextTable() || int(d.Block().Table) >= len(tables) || !d.NextRow() {
		return errors.New("a scan of no table")
	}
	t := tables[d.Block().Table]
	s.mu.Lock()
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Rows, Rank: s.rank})
	next := t.scan(&e, d.Row(), answerBytes)
	s.mu.Unlock()
	// The last byte of the answer's header says where to go on.
	out := e.End()
	tail := codec.Encoder{}
	tail.Begin(nil, codec.Header{Kind: codec.Ack, Rank: s.rank, Version: uint64(next + 1), ID: uint64(len(out))})
	head := tail.End()
	s.links[m.Source].fetched(1 + len(head) + len(out))
	return m.Reply([]byte{byte(len(head))}, head, out)
}

// Collect calls row on rank root for the rows of all ranks, in order: all rows,
// or of large tables those that Owned has. The slice is good during the call.
// It is collective, called after Sync and before the next Clock, outside Work.
// An error of row ends it, at root alone.
func (t *Table[T]) Collect(ctx context.Context, root int, row func(row int64, x []T) error) error {
	s := t.s
	var err error
	if s.rank == root {
		err = t.collect(ctx, row)
	}
	if _, e := s.meet(ctx, meeting{call: "Collect of table " + t.spec.Name, args: []string{"root " + strconv.Itoa(root)}}); err == nil {
		err = e
	}
	return errors.WithMessagef(err, "table %s: collect", t.spec.Name)
}

// stream is the rows of one owner on their way to Collect.
type stream[T Elem] struct {
	owner int
	d     codec.Decoder
	next  int64 // where to go on; negative at the end
	row   int64 // -1: no row at hand
}

func (t *Table[T]) collect(ctx context.Context, row func(int64, []T) error) error {
	x := slab.NewRows[T](t.wire, t.spec.Sparse)
	x.Grow(1)
	out := make([]T, t.spec.Width)
	streams := make([]stream[T], t.s.size)
	for o := range streams {
		streams[o] = stream[T]{owner: o, row: -1}
		if err := t.advance(ctx, &streams[o]); err != nil {
			return err
		}
	}
	for {
		var least *stream[T]
		for o := range streams {
			if c := &streams[o]; c.row >= 0 && (least == nil || c.row < least.row) {
				least = c
			}
		}
		if least == nil {
			return nil
		}
		if err := x.Decode(0, &least.d); err != nil {
			return err
		}
		x.CopyTo(out, 0)
		if err := row(least.row, out); err != nil {
			return err
		}
		if err := t.advance(ctx, least); err != nil {
			return err
		}
	}
}

// advance goes to the next row of a stream.
func (t *Table[T]) advance(ctx context.Context, c *stream[T]) error {
	s := t.s
	for {
		if c.d.NextRow() {
			c.row = c.d.Row()
			return nil
		}
		if err := c.d.Err(); err != nil {
			return err
		}
		c.row = -1
		if c.next < 0 {
			return nil
		}
		var msg []byte
		if c.owner == s.rank {
			s.mu.Lock()
			var e codec.Encoder
			e.Begin(nil, codec.Header{Kind: codec.Rows, Rank: s.rank})
			c.next = t.scan(&e, c.next, answerBytes)
			s.mu.Unlock()
			msg = e.End()
		} else {
			var e codec.Encoder
			e.Begin(nil, codec.Header{Kind: codec.Request, Flags: codec.More, Rank: s.rank})
			e.Table(codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.wire})
			e.Want(c.next)
			ask := e.End()
			s.links[c.owner].fetched(len(ask))
			reply, err := s.data.Call(ctx, c.owner, ask)
			if err != nil {
				return err
			}
			if len(reply) < 1 || len(reply) < 1+int(reply[0]) {
				return errors.Errorf("scan of rank %d: answer of %d bytes", c.owner, len(reply))
			}
			var head codec.Decoder
			if err := head.Reset(reply[1 : 1+reply[0]]); err != nil {
				return errors.WithMessagef(err, "scan of rank %d", c.owner)
			}
			c.next = int64(head.Header().Version) - 1
			msg = reply[1+reply[0]:]
		}
		if err := c.d.Reset(msg); err != nil {
			return err
		}
		c.d.NextTable()
	}
}
