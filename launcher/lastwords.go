package launcher

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// tailLines is how many lines are shown of each end of what a failed rank said last.
const tailLines = 5

// lastWords keeps of a rank's standard error what tells why it ended: the last
// lines, and the first ones of its last panic, which a stack pushes out of those.
// It is safe for concurrent use.
type lastWords struct {
	tail tailBuffer

	mu   sync.Mutex
	last lastPanic // guarded by mu
}

func (w *lastWords) write(p []byte) {
	_, _ = w.tail.Write(p) // never fails
	w.mu.Lock()
	defer w.mu.Unlock()
	for piece := range bytes.Lines(p) {
		w.last.add(piece)
	}
}

// lines returns them, with a line of an ellipsis for what is left out.
func (w *lastWords) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, tail := w.last, w.tail.lines(tailLines)
	last.why = slices.Clip(last.why)
	last.end() // what it did not end itself
	if last.since == 0 {
		return tail
	}
	out := slices.Concat(tail[:max(0, len(tail)-last.since)], last.why)
	after := last.since - len(last.why)
	if after > len(tail) {
		out = append(out, "…")
	}
	return append(out, tail[max(0, len(tail)-after):]...)
}

// lastPanic finds the beginning of the last panic in a text, as Go's runtime
// writes it: a reason, perhaps that of a panic before it was recovered, and a stack.
type lastPanic struct {
	line  []byte   // that has not ended, or its beginning
	said  bool     // which is not blank
	why   []string // first lines of the panic that are not blank, at most tailLines
	since int      // such lines from its reason on; 0: no panic
}

// add takes a line or a piece of one.
func (l *lastPanic) add(piece []byte) {
	l.said = l.said || len(bytes.TrimRight(piece, blanks)) > 0
	l.line = append(l.line, piece[:min(len(piece), maxCause+1-len(l.line))]...)
	if piece[len(piece)-1] == '\n' {
		l.end()
	}
}

// end ends the line.
func (l *lastPanic) end() {
	if !l.said {
		l.line = l.line[:0]
		return
	}
	if bytes.HasPrefix(l.line, []byte("panic: ")) || bytes.HasPrefix(l.line, []byte("fatal error: ")) {
		l.why, l.since = nil, 1
	} else if l.since > 0 {
		l.since++
	}
	if l.since > 0 && len(l.why) < tailLines {
		text := strings.TrimRight(string(l.line), blanks)
		if len(text) > maxCause {
			text = strings.ToValidUTF8(text[:maxCause], "") + "…"
		}
		l.why = append(l.why, text)
	}
	l.line, l.said = l.line[:0], false
}
