package codec

import (
	"github.com/klauspost/compress/s2"
	"github.com/pkg/errors"
)

// MinCompress is the length below which a message is never compressed.
const MinCompress = 512

const compressed = 0x80

// Compress appends the message to dst in compressed form, or returns dst and
// false when that would not be smaller.
func Compress(dst, msg []byte) ([]byte, bool) {
	if len(msg) < MinCompress {
		return dst, false
	}
	n := len(dst)
	most := s2.MaxEncodedLen(len(msg) - 1)
	if most < 0 {
		return dst, false
	}
	if cap(dst)-n < 1+most {
		dst = append(make([]byte, 0, n+1+most), dst...)
	}
	out := s2.Encode(dst[n+1:n+1+most], msg[1:])
	if 1+len(out) >= len(msg) {
		return dst, false
	}
	dst = dst[:n+1+len(out)]
	dst[n] = msg[0] | compressed
	return dst, true
}

// Open returns the message that [Decoder.Reset] takes: msg itself, or, when msg
// is compressed, its plain form, written over scratch when that is long enough
// and never longer than limit bytes. scratch must not overlap msg.
func Open(scratch, msg []byte, limit int) ([]byte, error) {
	if len(msg) == 0 || msg[0]&compressed == 0 {
		return msg, nil
	}
	n, err := s2.DecodedLen(msg[1:])
	if err != nil {
		return nil, errors.WithMessagef(ErrMalformed, "compressed: %v", err)
	}
	if n >= limit {
		return nil, errors.WithMessagef(ErrMalformed, "compressed: %d bytes unfold to %d, the limit is %d", len(msg), n+1, limit)
	}
	if cap(scratch) < n+1 {
		scratch = make([]byte, n+1)
	}
	scratch = scratch[:n+1]
	scratch[0] = msg[0] &^ compressed
	if _, err := s2.Decode(scratch[1:], msg[1:]); err != nil {
		return nil, errors.WithMessagef(ErrMalformed, "compressed: %v", err)
	}
	return scratch, nil
}

// An Estimator decides for one link whether compressing the next message saves
// time: whether the bytes saved would take longer to send than to squeeze and
// unfold. It is fed with what its owner measures; times are in nanoseconds.
// Messages that stay plain are compressed all the same once in a while, to
// notice when that has begun to pay. The zero value is ready.
type Estimator struct {
	ratio  float64 // packed bytes over plain ones
	effort float64 // ns a plain byte, both ends
	tried  bool
	since  int // messages since the last that was compressed

	// Exponentially weighted regression of time over bytes sent: the slope is
	// the price of a byte, whatever the latency of the link.
	w, x, y, xx, xy float64
}

const (
	retry    = 100  // messages between trials while compression does not pay
	memory   = 0.95 // weight of the past in a running mean
	unfold   = 1.5  // squeezing and unfolding, over squeezing alone
	minRatio = 1 / 1.1
)

// Try reports whether a message of so many bytes should be compressed. It
// counts the message.
func (e *Estimator) Try(bytes int) bool {
	if bytes < MinCompress {
		return false
	}
	e.since++
	if !e.tried || e.since >= retry || e.Pays() {
		e.since = 0
		return true
	}
	return false
}

// Pays reports whether compression saves time by what is known.
func (e *Estimator) Pays() bool {
	return e.tried && e.ratio < minRatio && e.effort < (1-e.ratio)*e.price()
}

// Compressed reports a compression: plain and packed length (equal when the
// message was left as it was) and the time it took.
func (e *Estimator) Compressed(plain, packed int, ns int64) {
	if plain <= 0 || packed < 0 || ns < 0 {
		return
	}
	ratio, effort := float64(packed)/float64(plain), unfold*float64(ns)/float64(plain)
	if !e.tried {
		e.ratio, e.effort, e.tried = ratio, effort, true
		return
	}
	// A message in four, so that a change of content shows after a few trials.
	e.ratio += (ratio - e.ratio) / 4
	e.effort += (effort - e.effort) / 4
}

// Sent reports that a message of so many bytes as they travelled took ns from
// its hand-over until it was known to have arrived.
func (e *Estimator) Sent(bytes int, ns int64) {
	if bytes <= 0 || ns < 0 {
		return
	}
	x, y := float64(bytes), float64(ns)
	e.w = e.w*memory + 1
	e.x = e.x*memory + x
	e.y = e.y*memory + y
	e.xx = e.xx*memory + x*x
	e.xy = e.xy*memory + x*y
}

// price returns what a byte costs on the link in nanoseconds, zero when that is
// not known: messages of one length only tell nothing about it.
func (e *Estimator) price() float64 {
	if e.w < 2 {
		return 0
	}
	mx, my := e.x/e.w, e.y/e.w
	spread := e.xx/e.w - mx*mx
	if spread < 0.01*mx*mx {
		return 0
	}
	slope := (e.xy/e.w - mx*my) / spread
	// No byte costs more than the whole message divided by its bytes.
	return max(0, min(slope, my/mx))
}
