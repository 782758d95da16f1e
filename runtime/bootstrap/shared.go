package bootstrap

import (
	"net"
	"syscall"
)

// MaxShared is how many ranks of a host can share memory: a message on a Unix
// socket takes no more than about twice as many descriptors.
const MaxShared = 128

// Place is a rank's place in the memory that ranks of its host share.
type Place struct {
	ID    string `json:"id"`    // of the memory; no two hosts of a job have the same
	Slot  int    `json:"slot"`  // among the ranks of the host
	Slots int    `json:"slots"` // ranks of the host; MaxShared at most
}

// Shared is memory that ranks of a host share, as the agent hands it over. Who
// has it closes the descriptors.
type Shared struct {
	Place
	Memory int   // descriptor of the memory file
	Bells  []int // descriptors by which the ranks are woken, by slot
}

// Descriptors returns the descriptors in the order in which they travel with a
// welcome.
func (s *Shared) Descriptors() []int { return append([]int{s.Memory}, s.Bells...) }

// sharedOf is the opposite of Descriptors.
func sharedOf(p Place, fds []int) *Shared { return &Shared{Place: p, Memory: fds[0], Bells: fds[1:]} }

// Close closes the descriptors.
func (s *Shared) Close() { closeAll(s.Descriptors()) }

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd) // of memory and counters, which hold nothing back
	}
}

// descriptors reads from a connection and keeps the descriptors that come with
// the bytes. They come with the welcome only.
type descriptors struct {
	conn net.Conn
	fds  []int
	off  bool // no more are taken; set before another goroutine reads
}

func (d *descriptors) Read(b []byte) (int, error) {
	unix, ok := d.conn.(*net.UnixConn)
	if !ok || d.off {
		return d.conn.Read(b)
	}
	oob := make([]byte, syscall.CmsgSpace(4*(MaxShared+1)))
	n, m, _, _, err := unix.ReadMsgUnix(b, oob)
	n = max(n, 0) // −1 with an error, which no io.Reader says
	messages, bad := syscall.ParseSocketControlMessage(oob[:m])
	if bad != nil {
		return n, err
	}
	for i := range messages {
		if fds, bad := syscall.ParseUnixRights(&messages[i]); bad == nil {
			d.fds = append(d.fds, fds...)
		}
	}
	return n, err
}

// place is that of a welcome.
func (m *Message) place() *Place {
	if m.Welcome == nil {
		return nil
	}
	return m.Welcome.Shared
}

// take returns what came with a welcome. Without all that it needs it is nil:
// the rank then shares nothing.
func (d *descriptors) take(p *Place) *Shared {
	d.off = true
	fds := d.fds
	d.fds = nil
	if p == nil || len(fds) != p.Slots+1 {
		closeAll(fds)
		return nil
	}
	return sharedOf(*p, fds)
}
