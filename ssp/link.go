package ssp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// link is what is known of the way to a peer: whether compression pays, and how
// much has travelled.
type link struct {
	mu  sync.Mutex
	est codec.Estimator // guarded by mu

	shown time.Time // end of the last span of a push, guarded by mu

	updates, fetches, pushed, control atomic.Int64 // bytes sent
	raw                               atomic.Int64 // the first three before compression
}

// fetched counts a request or an answer that travels as it is.
func (l *link) fetched(bytes int) {
	l.fetches.Add(int64(bytes))
	l.raw.Add(int64(bytes))
}

// squeeze returns the message as it should travel.
func (l *link) squeeze(msg []byte) []byte {
	if len(msg) < codec.MinCompress {
		return msg
	}
	l.mu.Lock()
	try := l.est.Try(len(msg))
	l.mu.Unlock()
	if !try {
		return msg
	}
	start := time.Now()
	out, ok := codec.Compress(nil, msg)
	ns := int64(time.Since(start))
	if !ok {
		out = msg
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.est.Compressed(len(msg), len(out), ns)
	if !l.est.Pays() {
		return msg
	}
	return out
}

// took says that so many bytes, there and back, took a time.
func (l *link) took(bytes int, d time.Duration) {
	l.mu.Lock()
	l.est.Sent(bytes, int64(d))
	l.mu.Unlock()
}
