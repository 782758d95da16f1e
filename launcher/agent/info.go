package agent

import (
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// Timing of the channel between launcher and agent.
const (
	PingEvery = 500 * time.Millisecond // both ways
	Silence   = 3 * time.Second        // heard nothing for so long: the other end is gone
)

// HelloInfo is what an agent says of itself and its host.
type HelloInfo struct {
	Version  int     `json:"version"`
	OS       string  `json:"os"`   // GOOS
	Arch     string  `json:"arch"` // GOARCH
	Hostname string  `json:"hostname"`
	CPUs     int     `json:"cpus"`
	Pid      int     `json:"pid"`
	Keeper   int     `json:"keeper"`            // process id
	Reached  string  `json:"reached"`           // address at which ssh reached this host; empty without ssh
	From     string  `json:"from"`              // address that the ssh connection came from
	Ifaces   []Iface `json:"ifaces,omitempty"`  // addresses of interfaces that are up
	NoBind   string  `json:"no_bind,omitempty"` // why ranks can not be bound to cores here; empty: they can
}

// Iface is an address of the host.
type Iface struct {
	Name string `json:"name"`
	IP   string `json:"ip"`
}

// OfferInfo is a program that the host is to have.
type OfferInfo struct {
	Path  string `json:"path"` // absolute, at the launcher
	Hash  string `json:"hash"` // SHA-256, hexadecimal
	Size  int64  `json:"size"`
	Force bool   `json:"force"` // send it even if it is there
	Never bool   `json:"never"` // it must be there already: at Path, or found by Name in the PATH
	Name  string `json:"name"`  // as the user wrote it
}

// StagedInfo says where the program is. With Need the agent wants it sent.
type StagedInfo struct {
	Path  string `json:"path"`
	Need  bool   `json:"need,omitempty"`
	Error string `json:"error,omitempty"`
}

// StartInfo is the part of a job that runs on one host.
type StartInfo struct {
	Program string            `json:"program"`        // path at the host
	Args    []string          `json:"args"`           // the first is the program's name
	Env     []string          `json:"env"`            // NAME=VALUE, added to the agent's own
	Dir     string            `json:"dir"`            // working directory
	Or      bool              `json:"or"`             // the home directory will do where Dir does not exist
	Welcome bootstrap.Welcome `json:"welcome"`        // of every rank; Rank is filled in
	Ranks   []int             `json:"ranks"`          // of this host
	Bind    bool              `json:"bind,omitempty"` // the cores of this agent are divided among the ranks
}

// StartedInfo answers StartInfo.
type StartedInfo struct {
	Pids  []int   `json:"pids,omitempty"`  // process ids, as Ranks; each leads a process group
	Cores [][]int `json:"cores,omitempty"` // that each of Pids is bound to, ascending; none: they are not
	Note  string  `json:"note,omitempty"`  // for the user
	Error string  `json:"error,omitempty"`
}

// ExitInfo is how a rank's process ended.
type ExitInfo struct {
	Code    int                `json:"code"`   // exit status; counts when Signal is 0
	Signal  int                `json:"signal"` // that killed it
	Core    bool               `json:"core,omitempty"`
	Joined  bool               `json:"joined"`
	Verdict *bootstrap.Verdict `json:"verdict,omitempty"` // nil: it never said
}

// ListeningInfo answers Listen.
type ListeningInfo struct {
	Addr  string `json:"addr"`
	Error string `json:"error,omitempty"`
}

// DialInfo names addresses to connect to.
type DialInfo struct {
	Addrs []string `json:"addrs"`
}

// DialedInfo holds an error, or an empty text, for each address of DialInfo.
type DialedInfo struct {
	Errors []string `json:"errors"`
}
