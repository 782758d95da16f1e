package bootstrap

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/pkg/errors"
)

// Names of the environment variables that an agent sets for a rank.
const (
	EnvControl = "SSPURN_CONTROL" // number of the inherited control socket
	EnvRank    = "SSPURN_RANK"    // for programs that only want to know
	EnvSize    = "SSPURN_SIZE"
)

// MaxLine is the longest line of the control channel in bytes. It bounds what
// either end allocates for the other.
const MaxLine = 4 << 20

// Message is one line of the control channel. Kind says which field counts.
type Message struct {
	Kind    string          `json:"k"`
	Welcome *Welcome        `json:"welcome,omitempty"` // "welcome", agent to rank, first
	Self    *Peer           `json:"self,omitempty"`    // "listening", rank to agent: it has joined
	Roster  []Peer          `json:"roster,omitempty"`  // "roster", agent to rank, in rank order
	Loss    *Loss           `json:"loss,omitempty"`    // "lost", agent to rank
	Record  json.RawMessage `json:"record,omitempty"`  // "record", rank to agent
	Verdict *Verdict        `json:"verdict,omitempty"` // "verdict", rank to agent, last
}

// Kinds of messages.
const (
	KindWelcome   = "welcome"
	KindListening = "listening"
	KindRoster    = "roster"
	KindLost      = "lost"
	KindRecord    = "record"
	KindVerdict   = "verdict"
)

// Welcome is the part of Config that the agent sends.
type Welcome struct {
	Job       string        `json:"job"`
	Rank      int           `json:"rank"`
	Size      int           `json:"size"`
	Host      string        `json:"host"`
	HostRanks int           `json:"host_ranks"`
	Cores     int           `json:"cores,omitempty"` // of the host
	Secret    []byte        `json:"secret"`
	Listen    string        `json:"listen,omitempty"`
	Ports     [2]int        `json:"ports"`
	Emulate   string        `json:"emulate,omitempty"`
	Straggle  string        `json:"straggle,omitempty"`
	Record    Recording     `json:"record,omitempty"`
	Join      time.Duration `json:"join,omitempty"`
	Stall     time.Duration `json:"stall,omitempty"`
	OnDemand  bool          `json:"on_demand,omitempty"`
	Shared    *Place        `json:"shared,omitempty"` // descriptors come along: of the memory, and the bells by slot
}

// check reports why the message can not be what its kind says.
func (m *Message) check() error {
	switch m.Kind {
	case KindWelcome:
		w := m.Welcome
		if w == nil {
			return errors.New("empty welcome")
		}
		if w.Size < 1 || w.Rank < 0 || w.Rank >= w.Size {
			return errors.Errorf("welcome as rank %d of %d", w.Rank, w.Size)
		}
		if p := w.Shared; p != nil && (p.ID == "" || p.Slots < 0 || p.Slots > MaxShared || p.Slot < 0 || p.Slot > p.Slots) {
			return errors.Errorf("welcome to slot %d of %d in shared memory", p.Slot, p.Slots)
		}
	case KindListening:
		// The only rank of a job listens nowhere.
		if m.Self == nil || m.Self.Rank < 0 || m.Self.Addr == "" && m.Self.Rank > 0 {
			return errors.New("listening without an address")
		}
	case KindRoster:
		for i, p := range m.Roster {
			if p.Rank != i {
				return errors.Errorf("roster names rank %d at place %d", p.Rank, i)
			}
		}
	case KindLost:
		if m.Loss == nil || m.Loss.Rank < 0 {
			return errors.New("lost without a rank")
		}
	case KindRecord:
		if len(m.Record) == 0 {
			return errors.New("empty record")
		}
	case KindVerdict:
		if m.Verdict == nil {
			return errors.New("empty verdict")
		}
	default:
		return errors.Errorf("unknown message %s", strconv.Quote(m.Kind[:min(len(m.Kind), 32)]))
	}
	return nil
}

// AppendMessage appends the message as a line, newline included, to dst.
func AppendMessage(dst []byte, m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return dst, errors.WithMessage(err, "control channel: send")
	}
	line, err := json.Marshal(m)
	if err != nil {
		return dst, errors.Wrap(err, "control channel: send")
	}
	if len(line) >= MaxLine {
		return dst, errors.Errorf("control channel: send: a line of %d bytes", len(line))
	}
	return append(append(dst, line...), '\n'), nil
}

// MessageReader reads messages from a control channel.
type MessageReader struct {
	in   *bufio.Reader
	line []byte // reused
}

// NewMessageReader returns a reader of messages.
func NewMessageReader(r io.Reader) *MessageReader {
	return &MessageReader{in: bufio.NewReaderSize(r, 16<<10)}
}

// Read returns the next message. At the end of the channel it returns io.EOF
// as it is. An error that is a timeout (a read deadline) leaves the reader
// usable: a line that has arrived in part is kept.
func (r *MessageReader) Read() (Message, error) {
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.line)+len(part) > MaxLine {
			return Message{}, errors.Errorf("control channel: a line longer than %d bytes", MaxLine)
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			line := r.line
			r.line = r.line[:0]
			return parseMessage(line)
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF:
			if len(bytes.TrimSpace(r.line)) > 0 {
				return Message{}, errors.Wrap(io.ErrUnexpectedEOF, "control channel")
			}
			return Message{}, io.EOF
		default:
			return Message{}, errors.Wrap(err, "control channel")
		}
	}
}

// Ready reports whether the next message has come already, so that Read will
// not wait.
func (r *MessageReader) Ready() bool {
	b, _ := r.in.Peek(r.in.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// A record line as Control writes it. Most lines are such.
const (
	recordBefore = `{"k":"record","record":`
	recordAfter  = "}\n"
)

// recordData opens the last value of a line of spans: text of base64, nearly all
// that such a line holds.
const recordData = `,"spans":"`

// validRecord is json.Valid, quicker for lines of spans.
func validRecord(record []byte) bool {
	at := bytes.Index(record[:min(len(record), 128)], []byte(recordData))
	if at < 0 || !bytes.HasSuffix(record, []byte(`"}`)) {
		return json.Valid(record)
	}
	at += len(recordData)
	if at > len(record)-2 {
		return json.Valid(record)
	}
	for _, c := range record[at : len(record)-2] {
		if !base64Digits[c] {
			return json.Valid(record)
		}
	}
	return json.Valid(append(append(make([]byte, 0, 132), record[:at]...), `"}`...)) // without the text
}

// base64Digits has the bytes that may stand in any JSON text as they are.
var base64Digits = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=" {
		t[c] = true
	}
	return t
}()

// parseMessage decodes a line. The result does not refer to it.
func parseMessage(line []byte) (Message, error) {
	if record, ok := bytes.CutPrefix(line, []byte(recordBefore)); ok {
		record, ok = bytes.CutSuffix(record, []byte(recordAfter))
		if ok && validRecord(record) {
			return Message{Kind: KindRecord, Record: bytes.Clone(record)}, nil
		}
	}
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, errors.Wrap(err, "control channel")
	}
	if err := m.check(); err != nil {
		return Message{}, errors.WithMessage(err, "control channel")
	}
	return m, nil
}
