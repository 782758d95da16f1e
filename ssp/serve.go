package ssp

import (
	"encoding/binary"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// ask is a request that waits at the shard.
type ask struct {
	m     *runtime.Message // of another rank
	msg   []byte
	since time.Time
	wake  chan struct{} // of a worker of this rank
	last  int           // good once wake is closed: the rank that was waited for, or a negative number
}

// handle serves the shard's port.
func (s *Store) handle(m *runtime.Message) {
	if err := s.serve(m); err != nil {
		s.fail(errors.WithMessagef(err, "shard of rank %d: message from rank %d", s.rank, m.Source))
	}
}

// unfoldLimit bounds what a compressed message unfolds to.
const unfoldLimit = 1 << 30

func (s *Store) serve(m *runtime.Message) error {
	msg, err := codec.Open(nil, m.Payload, unfoldLimit)
	if err != nil {
		return err
	}
	if !m.Wanted() {
		if len(msg) > 0 {
			switch codec.Kind(msg[0]) {
			case codec.Order:
				return s.order(msg)
			case codec.Report:
				return s.told(m.Source, msg)
			}
		}
		msg, repeat, err := s.readers[m.Source].Unpack(msg, unfoldLimit)
		if err != nil || repeat {
			return err
		}
		return s.apply(m.Source, msg)
	}
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	switch h := d.Header(); {
	case h.Kind == codec.Ack:
		part, err := decodeMeeting(msg)
		if err != nil {
			return err
		}
		return s.arrive(m.Source, part, func(b []byte) error { return m.Reply(b) })
	case h.Kind == codec.Request && h.Flags&codec.More != 0:
		return s.answerScan(m, &d)
	}
	at, err := shard.Wanted(msg)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.shard.Min() < at {
		s.shard.Park(at, &ask{m: m, msg: append([]byte(nil), msg...), since: time.Now()})
		s.mu.Unlock()
		return nil
	}
	out, err := s.shard.Answer(nil, m.Source, msg, false)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.reply(m, out, 0)
}

// order takes a decision of rank 0.
func (s *Store) order(msg []byte) error {
	switch {
	case s.freeing != nil:
		return s.freeing.order(msg)
	case s.backing != nil:
		return s.backing.order(msg)
	}
	return errors.New("an order in a store that takes none")
}

// told takes what a shard says of a clock.
func (s *Store) told(rank int, msg []byte) error {
	if s.backing == nil || s.backing.dbw == nil {
		return errors.New("a report to a rank that takes none")
	}
	return s.backing.told(rank, msg)
}

// reply sends an answer to a request. The microseconds that it has waited for
// the clock come first: they say nothing about the link.
func (s *Store) reply(m *runtime.Message, out []byte, waited time.Duration) error {
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(waited.Microseconds()))
	l := &s.links[m.Source]
	l.raw.Add(int64(n + len(out)))
	out = l.squeeze(out)
	l.fetches.Add(int64(n + len(out)))
	return m.Reply(head[:n], out)
}

// apply applies a batch to the shard and tells who waited for it.
func (s *Store) apply(rank int, msg []byte) error {
	s.mu.Lock()
	rose, push, err := s.shard.Batch(rank, msg)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	if s.freeing != nil {
		s.freeing.arrived(rank, msg)
		s.renews()
	}
	if s.backing != nil {
		more, err := s.backing.arrived(rank, msg)
		if err != nil {
			s.mu.Unlock()
			return err
		}
		rose = rose || more
	}
	ready, err := s.release(rose)
	s.mu.Unlock()
	if push {
		s.wakePushers()
	}
	if s.bounded.Load() {
		s.wakeTeller()
	}
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

// answer is one on its way.
type answer struct {
	a   *ask
	out []byte
}

// release makes the answers to the requests that the minimum serves now, with
// s.mu, which is not held while they are compressed and sent.
func (s *Store) release(rose bool) (ready []answer, err error) {
	if rose && s.shard.Paced() {
		s.pace()
	}
	for rose {
		a, ok := s.shard.Release()
		if !ok {
			break
		}
		if a.wake != nil {
			a.last = s.shard.Last()
			close(a.wake)
			continue
		}
		out, err := s.shard.Answer(nil, a.m.Source, a.msg, true)
		if err != nil {
			return nil, err
		}
		ready = append(ready, answer{a, out})
	}
	return ready, nil
}

func (s *Store) replyAll(ready []answer) error {
	for _, r := range ready {
		if err := s.reply(r.a.m, r.out, time.Since(r.a.since)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) wakePushers() {
	for r, w := range s.wakers {
		if r == s.rank {
			continue
		}
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// hear installs a push.
func (s *Store) hear(m *runtime.Message) {
	if !m.Wanted() {
		if err := s.hearReach(m); err != nil {
			s.fail(errors.WithMessagef(err, "news from rank %d", m.Source))
		}
		return
	}
	err := s.install(m.Source, m.Payload, -1)
	if err == nil {
		err = m.Reply()
	}
	if err != nil {
		s.fail(errors.WithMessagef(err, "push from rank %d", m.Source))
	}
}

// install takes rows of an owner: a push, or an answer for the only table.
func (s *Store) install(owner int, payload []byte, only int) error {
	msg, err := codec.Open(nil, payload, unfoldLimit)
	if err != nil {
		return err
	}
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	s.wmu.Lock()
	tables := s.tables
	s.wmu.Unlock()
	for d.NextTable() {
		n := int(d.Block().Table)
		if n >= len(tables) || only >= 0 && n != only {
			return errors.Errorf("rows of table %d", n)
		}
		if err := tables[n].install(owner, &d); err != nil {
			return err
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if h := d.Header(); h.Flags&codec.Push != 0 {
		for _, t := range tables {
			if t.policy().pushes() {
				t.told(owner, h)
			}
		}
	}
	return nil
}
