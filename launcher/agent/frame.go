package agent

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"

	"github.com/pkg/errors"
)

// Version of the protocol between launcher and agent. Both ends are the same
// binary as a rule; a host on which staging is off may have another one.
const Version = 3

// Kind says what a frame is.
type Kind uint8

// Kinds of frames. L is the launcher, A the agent.
const (
	Ping      Kind = iota + 1 // both ways, every PingEvery
	Hello                     // A→L: HelloInfo, first frame
	Offer                     // L→A: OfferInfo, a program to stage
	Chunk                     // L→A: bytes of the program; an empty one ends it
	Staged                    // A→L: StagedInfo, answers Offer and the last Chunk
	Start                     // L→A: StartInfo, start the ranks of this host
	Started                   // A→L: StartedInfo
	Stdin                     // L→A: bytes for rank 0; an empty one ends it
	StdinRoom                 // A→L: uint32, bytes of Stdin that were taken
	Output                    // A→L: rank, stream, bytes
	Room                      // L→A: rank, stream, uint32: bytes of Output that were taken
	Joined                    // A→L: rank, bootstrap.Peer
	Failing                   // A→L: rank, bootstrap.Verdict that is not OK, before the exit
	Exited                    // A→L: rank, ExitInfo; at once, output may follow
	Drained                   // A→L: rank, nothing more of this rank follows
	Roster                    // L→A: []bootstrap.Peer
	Lost                      // L→A: bootstrap.Loss, for all ranks of the host but the lost one
	Signal                    // L→A: uint32, signal for all ranks of the host
	Suspend                   // L→A: stop ranks and watchdog
	Suspended                 // A→L: answers Suspend
	Resume                    // L→A: continue both
	Listen                    // L→A: IP address to listen on for a connection test
	Listening                 // A→L: ListeningInfo, answers Listen
	Dial                      // L→A: DialInfo, test connections
	Dialed                    // A→L: DialedInfo, answers Dial
	Bye                       // L→A: the job has ended, end
	Fatal                     // A→L: text, the agent gives up
	Clock                     // L→A: the launcher's time, of whatever clock
	Clocked                   // A→L: answers Clock: that time, and those of its arrival and of the answer by the host's clock, ns since 1970
	kinds                     // number of kinds, and one
)

// Stream is a channel of bytes that flows from a rank against credits.
type Stream uint8

// Streams of a rank.
const (
	Stdout Stream = iota
	Stderr
	Record // record lines, each in a frame of its own
	Streams
)

// Window is how many bytes of the stream may be on their way to the launcher,
// 256 KiB a rank together.
func (s Stream) Window() int {
	if s == Stdout {
		return 128 << 10
	}
	return 64 << 10
}

// StdinWindow is how many bytes of standard input may be on their way.
const StdinWindow = 64 << 10

// MaxChunk is the largest payload that is cut to size (output, input, program).
// It bounds how long a control frame waits behind bulk.
const MaxChunk = 32 << 10

// maxPayload is the largest payload of any frame.
const maxPayload = 8 << 20

// headerLen is the length of a frame's header: kind, stream, two bytes of
// zero, rank, length of the payload.
const headerLen = 12

// Frame is one message between launcher and agent.
type Frame struct {
	Kind    Kind
	Stream  Stream
	Rank    int
	Payload []byte // of a read frame: valid until the next read
}

// AppendFrame appends the encoded frame to dst.
func AppendFrame(dst []byte, f Frame) []byte {
	dst = append(dst, byte(f.Kind), byte(f.Stream), 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.Rank))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Payload)))
	return append(dst, f.Payload...)
}

// Uint32 returns v as a payload.
func Uint32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// Number is the payload as written by Uint32.
func (f Frame) Number() (int, error) {
	if len(f.Payload) != 4 {
		return 0, errors.Errorf("frame %d: %d bytes where a number was expected", f.Kind, len(f.Payload))
	}
	return int(binary.LittleEndian.Uint32(f.Payload)), nil
}

// Times returns times in nanoseconds as a payload.
func Times(ns ...int64) []byte {
	b := make([]byte, 0, 8*len(ns))
	for _, t := range ns {
		b = binary.LittleEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// Times fills ns with the payload as written by the function Times.
func (f Frame) Times(ns []int64) error {
	if len(f.Payload) != 8*len(ns) {
		return errors.Errorf("frame %d: %d bytes where %d times were expected", f.Kind, len(f.Payload), len(ns))
	}
	for i := range ns {
		ns[i] = int64(binary.LittleEndian.Uint64(f.Payload[8*i:]))
	}
	return nil
}

// Decode parses the payload as JSON into v.
func (f Frame) Decode(v any) error {
	return errors.Wrapf(json.Unmarshal(f.Payload, v), "frame %d", f.Kind)
}

// FrameReader reads frames.
type FrameReader struct {
	in  *bufio.Reader
	buf []byte // reused
}

// NewFrameReader returns a reader of frames.
func NewFrameReader(r io.Reader) *FrameReader {
	return &FrameReader{in: bufio.NewReaderSize(r, 64<<10)}
}

// Read returns the next frame, whose payload is valid until the next call. At
// the end it returns io.EOF as it is.
func (r *FrameReader) Read() (Frame, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r.in, h[:]); err != nil {
		if err == io.EOF {
			return Frame{}, err
		}
		return Frame{}, errors.Wrap(err, "frame header")
	}
	f := Frame{Kind: Kind(h[0]), Stream: Stream(h[1]), Rank: int(int32(binary.LittleEndian.Uint32(h[4:])))}
	n := binary.LittleEndian.Uint32(h[8:])
	switch {
	case f.Kind == 0 || f.Kind >= kinds || f.Stream >= Streams || h[2] != 0 || h[3] != 0 || f.Rank < 0:
		return Frame{}, errors.Errorf("not a frame: % x", h)
	case n > maxPayload:
		return Frame{}, errors.Errorf("frame %d of %d bytes", f.Kind, n)
	}
	// Grow with what arrives, so that a header alone allocates little.
	r.buf = r.buf[:0]
	for len(r.buf) < int(n) {
		part := min(int(n)-len(r.buf), 64<<10)
		r.buf = append(r.buf, make([]byte, part)...)
		if _, err := io.ReadFull(r.in, r.buf[len(r.buf)-part:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, errors.Wrapf(err, "frame %d", f.Kind)
		}
	}
	f.Payload = r.buf
	return f, nil
}
