package launcher

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	stderrors "errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// longLine is the length in bytes from which on a line is shown in parts.
const longLine = 64 << 10

// format says how lines are shown.
type format struct {
	tag, timestamp bool
	now            func() time.Time
}

// source is one stream of one rank.
type source struct {
	rank   int
	stream agent.Stream
}

// lineWriter turns chunks of many ranks into whole lines. It writes each line,
// tag included, in one piece, and a part of a line only when asked to flush.
// It is owned by one goroutine.
type lineWriter struct {
	format
	raw     bool // a single rank without decoration: bytes pass as they are
	write   func(stream agent.Stream, b []byte) error
	partial map[source][]byte
	open    *source // whose unfinished line is the last thing written; nil: the cursor is at a line's start
	buf     []byte  // reused
}

func newLineWriter(f format, raw bool, write func(agent.Stream, []byte) error) *lineWriter {
	return &lineWriter{format: f, raw: raw, write: write, partial: make(map[source][]byte)}
}

// put takes a chunk and writes the lines that it completes.
func (w *lineWriter) put(rank int, stream agent.Stream, data []byte) error {
	if w.raw {
		return w.write(stream, data)
	}
	src := source{rank, stream}
	rest := w.partial[src]
	end := bytes.LastIndexByte(data, '\n') + 1
	w.buf = w.buf[:0]
	for line := range bytes.Lines(data[:end]) {
		w.buf = w.start(w.buf, src)
		w.buf = append(append(w.buf, rest...), line...)
		w.open, rest = nil, rest[:0]
	}
	rest = append(rest, data[end:]...)
	if len(rest) > longLine {
		w.buf = append(w.start(w.buf, src), rest...)
		w.open, rest = &src, rest[:0]
	}
	w.partial[src] = rest
	if len(w.buf) == 0 {
		return nil
	}
	return w.write(stream, w.buf)
}

// say writes a line that is of no rank.
func (w *lineWriter) say(line []byte) error {
	w.buf = w.buf[:0]
	if w.open != nil {
		w.buf = append(w.buf, '\n')
		w.open = nil
	}
	w.buf = append(w.buf, line...)
	return w.write(agent.Stderr, w.buf)
}

// start appends what comes before text of src at the present place.
func (w *lineWriter) start(dst []byte, src source) []byte {
	if w.open != nil {
		if *w.open == src {
			return dst
		}
		dst = append(dst, '\n')
	}
	if w.timestamp {
		dst = w.now().AppendFormat(dst, "15:04:05.000 ")
	}
	if w.tag {
		dst = fmt.Appendf(dst, "[%d] ", src.rank)
	}
	return dst
}

// waiting reports whether parts of lines are held back.
func (w *lineWriter) waiting() bool {
	for _, p := range w.partial {
		if len(p) > 0 {
			return true
		}
	}
	return false
}

// flush writes the held-back parts of lines.
func (w *lineWriter) flush() error { return w.flushIf(func(source) bool { return true }) }

// ended writes the held-back parts of the lines of a rank that says no more.
func (w *lineWriter) ended(rank int) error {
	return w.flushIf(func(src source) bool { return src.rank == rank })
}

func (w *lineWriter) flushIf(pick func(source) bool) error {
	var err error
	for src, p := range w.partial {
		if len(p) == 0 || !pick(src) {
			continue
		}
		w.buf = append(w.start(w.buf[:0], src), p...)
		w.open = &source{src.rank, src.stream}
		w.partial[src] = p[:0]
		err = stderrors.Join(err, w.write(src.stream, w.buf))
	}
	return err
}

// unfinished reports whether the last thing written is a part of a line.
func (w *lineWriter) unfinished() bool { return w.open != nil }

// close writes the held-back parts and ends the last line.
func (w *lineWriter) close() error {
	err := w.flush()
	if w.open != nil {
		stream := w.open.stream
		w.open = nil
		err = stderrors.Join(err, w.write(stream, []byte{'\n'}))
	}
	return err
}

// fileWriter stores the output of each rank and stream in a file of its own.
// It is owned by one goroutine.
type fileWriter struct {
	dir    string
	format format
	diag   io.Writer // for lines of the launcher
	files  map[source]*outputFile
}

type outputFile struct {
	file  *os.File
	lines *lineWriter
}

func (w *fileWriter) put(rank int, stream agent.Stream, data []byte) error {
	src := source{rank, stream}
	f := w.files[src]
	if f == nil {
		ext := "out"
		if stream == agent.Stderr {
			ext = "err"
		}
		file, err := os.Create(filepath.Join(w.dir, fmt.Sprintf("rank-%d.%s", rank, ext)))
		if err != nil {
			return err
		}
		f = &outputFile{file: file}
		f.lines = newLineWriter(w.format, !w.format.timestamp, func(_ agent.Stream, b []byte) error {
			_, err := file.Write(b)
			return err
		})
		w.files[src] = f
	}
	return f.lines.put(rank, stream, data)
}

func (w *fileWriter) say(line []byte) error {
	_, err := w.diag.Write(line)
	return err
}

func (w *fileWriter) waiting() bool    { return false } // parts of lines wait for the rest
func (w *fileWriter) unfinished() bool { return false }
func (w *fileWriter) flush() error     { return nil }

func (w *fileWriter) ended(rank int) error {
	var err error
	for src, f := range w.files {
		if src.rank == rank {
			err = stderrors.Join(err, f.lines.flush())
		}
	}
	return err
}

func (w *fileWriter) close() error {
	var err error
	for _, f := range w.files {
		err = stderrors.Join(err, f.lines.flush(), f.file.Close())
	}
	return err
}
