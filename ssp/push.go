package ssp

import (
	"context"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// flight is how many bytes of pushes to a rank may be on their way before another
// leaves, of tables under cap, vap and cvap. It is little, so that rows that change
// again and again do not queue for a slow link.
const flight = 32 << 10

// pushed is a push on its way.
type pushed struct {
	call  *runtime.PendingCall // nil: the rank lacked nothing
	count uint64               // batches that are in it and those before
	buf   []byte
	bytes int
	start time.Time
	alone bool // the next leaves when this has been installed
}

// push tells a subscriber what is new, until the store is closed: one message at a
// time, which lets changes of a row meanwhile travel as one. Under cap, vap and cvap,
// which promise updates as early as may be, several are on their way together: one
// behind another would come up to two delays of the link later.
func (s *Store) push(ctx context.Context, rank int) {
	var flying, landed chan pushed
	defer func() {
		if flying != nil {
			close(flying)
		}
	}()
	var spare [][]byte
	under, bytes := 0, 0
	for {
		wake := s.wakers[rank]
		if flying != nil && (bytes > flight || under == cap(flying)) {
			wake = nil
		}
		select {
		case <-wake:
		case p := <-landed:
			under--
			bytes -= p.bytes
			spare = append(spare, p.buf)
			continue
		case <-ctx.Done():
			return
		case <-s.c.Done():
			return
		}
		var buf []byte
		if n := len(spare); n > 0 {
			buf, spare = spare[n-1], spare[:n-1]
		}
		p, err := s.startPush(rank, buf)
		if err != nil {
			s.fail(err)
			return
		}
		if p.alone {
			if !s.endPush(ctx, rank, p) {
				return
			}
			spare = append(spare, p.buf)
			if p.call != nil { // what wakes nobody may have come meanwhile
				select {
				case s.wakers[rank] <- struct{}{}:
				default:
				}
			}
			continue
		}
		if flying == nil {
			flying, landed = make(chan pushed, 64), make(chan pushed, 64)
			s.crew.spawn(func(ctx context.Context) {
				for p := range flying { // to the last, whose memory is the runtime's until then
					if s.endPush(ctx, rank, p) {
						landed <- p
					}
				}
			})
		}
		under++
		bytes += p.bytes
		flying <- p // as landed, it has room for all that are on their way
	}
}

// startPush sends a subscriber what it lacks.
func (s *Store) startPush(rank int, buf []byte) (p pushed, err error) {
	s.mu.Lock()
	out, ok := s.shard.Push(buf[:0], rank)
	p.count, p.alone = s.shard.Count(), !s.prompt.Load()
	if ok && s.shard.Paced() {
		s.budget.pushing.Store(s.shard.Pending())
	}
	s.mu.Unlock()
	p.buf = out
	if !ok {
		return p, nil
	}
	link := &s.links[rank]
	link.raw.Add(int64(len(out)))
	msg := link.squeeze(out)
	p.bytes = len(msg)
	link.pushed.Add(int64(len(msg)))
	p.start = time.Now()
	p.call, err = s.news.StartCall(rank, msg)
	return p, errors.WithMessagef(err, "push to rank %d", rank)
}

// endPush waits until a subscriber has installed a push. It returns false when that
// is not to be expected any more.
func (s *Store) endPush(ctx context.Context, rank int, p pushed) bool {
	if p.call != nil {
		_, err := p.call.Wait(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			s.fail(errors.WithMessagef(err, "push to rank %d", rank))
			return false
		}
	}
	if err := s.installed(rank, p.count); err != nil {
		s.fail(errors.WithMessagef(err, "shard of rank %d", s.rank))
		return false
	}
	if p.call == nil {
		return true
	}
	end := time.Now()
	s.links[rank].took(p.bytes, end.Sub(p.start))
	s.budget.took(s, p.bytes, end.Sub(p.start))
	if r := s.c.Recorder(); r.Tracing() {
		on := s.c.JobRank(rank)
		link := &s.links[rank]
		link.mu.Lock()
		start := later(p.start, link.shown) // spans of a lane follow one another
		link.shown = end
		link.mu.Unlock()
		if start.Before(end) {
			r.Trace(telemetry.Span{
				Kind: telemetry.Push, Lane: telemetry.LanePush + on, On: on, Start: r.At(start), End: r.At(end), Bytes: int64(p.bytes),
			})
		}
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
