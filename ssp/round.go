package ssp

import (
	"fmt"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// ErrMismatch says that the ranks do not agree on what they do together: another
// table, another number of workers, another collective call. The error names two
// ranks and what each of them has. It matches runtime.ErrMismatch, too.
var ErrMismatch = fmt.Errorf("the %w", runtime.ErrMismatch)

// meeting is what a rank brings to a round: all ranks send one to all shards,
// which answer when they have heard of all, or when one can not come any more. As
// messages of a rank stay in order, all batches sent before a round are applied
// when it is over.
type meeting struct {
	at    Clock // the latest of the rank's workers
	reset bool  // begin an epoch
	last  bool  // of the store
	call  string
	args  []string // what must be the same on all ranks, as many in all calls of a kind
}

// part is what has come of a rank.
type part struct {
	meeting
	answer func([]byte) error // nil: nothing has come
}

// round is the one that is under way at a shard, guarded by Store.mu.
type round struct {
	parts []part // by rank
	came  int
}

func newRound(n int) round { return round{parts: make([]part, n)} }

// outcome of a round at a shard, in Header.Branch of its answer; Last is the rank
// that is to blame, plus one.
const (
	agreed uint32 = iota
	differ        // the text says how
	gone          // a rank has left that has not closed the store
	closed        // a rank has given up closing it
)

// outcomeText bounds what a text tells of the call and of each of its arguments.
const outcomeText = 1 << 10

// differing says how the parts of a round differ: between the first rank and the
// first that has something else.
func differing(parts []part) string {
	a := &parts[0]
	for r := range parts {
		b := &parts[r]
		if a.call != b.call || len(a.args) != len(b.args) {
			return fmt.Sprintf("rank 0 is in %s, rank %d in %s", clip(a.call), r, clip(b.call))
		}
		var x, y []string
		for i := range a.args {
			if a.args[i] != b.args[i] {
				x, y = append(x, clip(a.args[i])), append(y, clip(b.args[i]))
			}
		}
		if x != nil {
			return fmt.Sprintf("rank 0 has %s; rank %d has %s", strings.Join(x, ", "), r, strings.Join(y, ", "))
		}
	}
	return ""
}

func clip(s string) string { return s[:min(len(s), outcomeText)] }

// encode makes the message of a meeting.
func (m meeting) encode(rank int) []byte {
	h := codec.Header{Kind: codec.Ack, Rank: rank, Clock: int64(m.at)}
	if m.reset {
		h.Flags |= codec.Ticks
	}
	if m.last {
		h.Flags |= codec.More
	}
	return withText(h, strings.Join(append([]string{m.call}, m.args...), "\x00"))
}

// decodeMeeting is the inverse of encode.
func decodeMeeting(msg []byte) (m meeting, err error) {
	h, text, err := splitText(msg)
	if err != nil {
		return m, err
	}
	m.at, m.reset, m.last = Clock(h.Clock), h.Flags&codec.Ticks != 0, h.Flags&codec.More != 0
	all := strings.Split(text, "\x00")
	m.call, m.args = all[0], all[1:]
	return m, nil
}

// withText is a message without rows but with a text, whose length is its ID.
func withText(h codec.Header, text string) []byte {
	h.ID = uint64(len(text))
	var e codec.Encoder
	e.Begin(nil, h)
	return append(e.End(), text...)
}

// splitText is the inverse of withText.
func splitText(msg []byte) (h codec.Header, text string, err error) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return h, "", err
	}
	if h = d.Header(); h.ID > uint64(len(msg)) {
		return h, "", errors.Errorf("a text of %d bytes in a message of %d", h.ID, len(msg))
	}
	return h, string(msg[uint64(len(msg))-h.ID:]), nil
}

// arrive takes a rank's part in a round.
func (s *Store) arrive(rank int, m meeting, answer func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.round
	if r.parts[rank].answer != nil {
		return errors.Errorf("second part of rank %d in a round", rank)
	}
	r.parts[rank] = part{m, answer}
	r.came++
	if absent := s.absent(); absent >= 0 {
		return s.endRound(codec.Header{Branch: gone, Last: absent + 1}, "")
	}
	if s.gaveUp {
		return s.endRound(codec.Header{Branch: closed, Last: s.rank + 1}, "")
	}
	if r.came < s.size {
		return nil
	}
	at := Clock(0)
	for i := range r.parts {
		at = max(at, r.parts[i].at)
	}
	if text := differing(r.parts); text != "" {
		return s.endRound(codec.Header{Branch: differ}, text)
	}
	s.over = m.last
	if m.reset {
		if err := s.begin(int64(at)); err != nil {
			return err
		}
	}
	return s.endRound(codec.Header{Clock: int64(at)}, "")
}

// begin begins an epoch at the shard, with s.mu.
func (s *Store) begin(at int64) error {
	if err := s.shard.Sync(at); err != nil {
		return err
	}
	if s.freeing != nil {
		s.freeing.sync(at)
	}
	if s.backing != nil {
		s.backing.sync(at)
	}
	ready, err := s.release(true)
	if err == nil {
		err = s.replyAll(ready)
	}
	if err != nil {
		return err
	}
	s.wakePushers()
	return nil
}

// endRound answers all that have come to the round, and opens the next; with s.mu.
// The own rank hears last: when it leaves, all that others wait for is on its way.
func (s *Store) endRound(h codec.Header, text string) error {
	parts := s.round.parts
	s.round = newRound(s.size)
	h.Kind, h.Rank = codec.Ack, s.rank
	out := withText(h, text)
	for k := 1; k <= s.size; k++ {
		r := (s.rank + k) % s.size
		if parts[r].answer == nil {
			continue
		}
		if r != s.rank {
			s.links[r].control.Add(int64(len(out)))
		}
		if err := parts[r].answer(out); err != nil {
			return err
		}
	}
	return nil
}

// judge returns what the answer of a shard to a meeting says.
func (s *Store) judge(m meeting, answer []byte) (Clock, error) {
	h, text, err := splitText(answer)
	if err != nil {
		return 0, err
	}
	who := h.Last - 1
	if h.Branch > differ && (who < 0 || who >= s.size) {
		return 0, errors.Errorf("a round ended by rank %d", who)
	}
	switch h.Branch {
	case agreed:
		return Clock(h.Clock), nil
	case differ:
		return 0, fmt.Errorf("%w: %s", ErrMismatch, text)
	case gone:
		return 0, s.deserted(who)
	case closed:
		return 0, errors.WithMessagef(runtime.ErrClosed, "rank %d has called Close, which failed", who)
	}
	return 0, errors.Errorf("a round that ended in %d", h.Branch)
}
