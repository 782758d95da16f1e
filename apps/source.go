package apps

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pkg/errors"
)

const (
	// maxLine bounds the length of a line in bytes and what a reader allocates
	// for it.
	maxLine = 1 << 20
	// blockBytes is the unit in which the parts of a compressed file are dealt
	// out: small enough to balance, and long against a line.
	blockBytes = 256 << 10
)

// InputError is a fault of an input file or of a flag: something that the user
// can put right, and that is the same whichever rank met it.
type InputError struct {
	File string // as the user wrote it; empty when no file is at fault
	Line int64  // 1-based; 0 when the file as a whole is at fault
	Err  error  // what was found and what was expected
}

func (e *InputError) Error() string {
	switch {
	case e.File == "":
		return e.Err.Error()
	case e.Line == 0:
		return e.File + ": " + e.Err.Error()
	}
	return e.File + ":" + strconv.FormatInt(e.Line, 10) + ": " + e.Err.Error()
}

func (e *InputError) Unwrap() error { return e.Err }

// Part is one of several shares of a file: Index of [0, Count). The zero value
// is the whole file.
type Part struct{ Index, Count int }

func (p Part) count() int { return max(p.Count, 1) }

// ReadLines calls line for every line of this part of the file, in the order of
// the file, without its end (\n or \r\n). Each line of the file belongs to
// exactly one of the parts. The text is valid until line returns.
//
// A plain file is cut into equal ranges of bytes, and nothing else of it is
// read. A gzip or zstd file, told by its first bytes and not by its name, can
// only be read from its beginning: every reader decompresses all of it and
// keeps the lines that begin in each Count-th block of 256 KiB.
//
// Whatever is wrong, line's error included, comes back as an *[InputError]
// with the line's number.
func ReadLines(path string, part Part, line func(text []byte) error) error {
	s, err := openSource(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.lines(part, line)
}

// lines is ReadLines of an open source.
func (s *source) lines(part Part, line func(text []byte) error) error {
	if s.packed {
		return s.each(func(at int64) bool { return at/blockBytes%int64(part.count()) == int64(part.Index) }, line)
	}
	from, to := s.size*int64(part.Index)/int64(part.count()), s.size*int64(part.Index+1)/int64(part.count())
	if from > 0 { // the line that holds the byte before from begins in another part
		s.seek(from - 1)
		if _, _, err := s.next(); err != nil {
			return s.end(err)
		}
	}
	for s.at < to {
		text, _, err := s.next()
		if err != nil {
			return s.end(err)
		}
		if err := line(text); err != nil {
			return s.fault(err)
		}
	}
	return nil
}

// source reads the lines of a file that may be compressed and knows where it
// is.
type source struct {
	path   string
	file   io.ReaderAt
	size   int64 // of the file, as stored
	packed bool  // compressed: offsets count bytes of the text, and there is no seeking
	in     *bufio.Reader
	close  []func()
	start  int64  // offset from which lines are counted
	at     int64  // offset of the next line
	line   int64  // lines since start
	long   []byte // a line longer than the buffer of in
}

func openSource(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &InputError{File: path, Err: cause(err)}
	}
	size, err := regular(file)
	var s *source
	if err == nil {
		s, err = newSource(path, file, size)
	}
	if err != nil {
		_ = file.Close() // it was only read
		return nil, &InputError{File: path, Err: cause(err)}
	}
	s.close = append(s.close, func() { _ = file.Close() })
	return s, nil
}

// regular returns the size of a file that can be read at any place: every rank
// reads its own part, so a pipe would not do.
func regular(file *os.File) (int64, error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, errors.New("is a directory, expected a file")
	case !info.Mode().IsRegular():
		return 0, errors.New("expected a regular file")
	}
	return info.Size(), nil
}

// cause drops the operation and the path from an error of os: the message
// names the file already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err
}

// newSource sets up decompression by the first bytes of the file.
func newSource(path string, file io.ReaderAt, size int64) (*source, error) {
	s := &source{path: path, file: file, size: size}
	magic := make([]byte, 4)
	n, err := file.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	in := io.Reader(io.NewSectionReader(file, 0, size))
	switch magic = magic[:n]; {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bufio.NewReaderSize(in, 1<<16))
		if err != nil {
			return nil, errors.WithMessage(err, "gzip")
		}
		in, s.packed = z, true
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, errors.WithMessage(err, "zstd")
		}
		in, s.packed = z, true
		s.close = append(s.close, z.Close)
	}
	s.in = bufio.NewReaderSize(in, 1<<16)
	return s, nil
}

// Close ends reading; errors of a file that was only read tell nothing.
func (s *source) Close() {
	for _, f := range s.close {
		f()
	}
}

// seek moves to an offset of a plain file.
func (s *source) seek(to int64) {
	s.in.Reset(io.NewSectionReader(s.file, to, s.size-to))
	s.start, s.at, s.line = to, to, 0
}

// next returns the next line and its offset. The text is valid until the next
// call.
func (s *source) next() (text []byte, at int64, err error) {
	at = s.at
	text, err = s.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		s.long = append(s.long[:0], text...)
		for err == bufio.ErrBufferFull && len(s.long) <= maxLine {
			text, err = s.in.ReadSlice('\n')
			s.long = append(s.long, text...)
		}
		text = s.long
	}
	s.at += int64(len(text))
	if len(text) > 0 {
		s.line++
	}
	if len(text) > maxLine {
		return nil, at, errors.Errorf("a line longer than %d bytes", maxLine)
	}
	if err != nil && (err != io.EOF || len(text) == 0) {
		return nil, at, err
	}
	text = bytes.TrimSuffix(text, []byte{'\n'})
	return bytes.TrimSuffix(text, []byte{'\r'}), at, nil
}

// first reports whether the line that next returned last is the first one of
// the file.
func (s *source) first() bool { return s.start == 0 && s.line == 1 }

// each calls line for the lines whose offset is wanted, up to the end.
func (s *source) each(want func(at int64) bool, line func(text []byte) error) error {
	for {
		text, at, err := s.next()
		if err != nil {
			return s.end(err)
		}
		if !want(at) {
			continue
		}
		if err := line(text); err != nil {
			return s.fault(err)
		}
	}
}

// end returns nil for the end of the file and the fault otherwise.
func (s *source) end(err error) error {
	if err == io.EOF {
		return nil
	}
	return s.fault(err)
}

// fault says that the line read last is wrong. It counts the lines before the
// part only now: a run without fault never does.
func (s *source) fault(err error) error {
	before, count := int64(0), make([]byte, 1<<16)
	for at := int64(0); at < s.start && !s.packed; {
		n, err := s.file.ReadAt(count[:min(int64(len(count)), s.start-at)], at)
		if n == 0 && err != nil {
			return &InputError{File: s.path, Err: cause(err)}
		}
		before += int64(bytes.Count(count[:n], []byte{'\n'}))
		at += int64(n)
	}
	return &InputError{File: s.path, Line: before + s.line, Err: err}
}
