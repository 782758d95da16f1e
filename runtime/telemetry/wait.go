package telemetry

// WaitsKind is the kind of events that say what a rank waits for.
const WaitsKind = "waits"

// Leaving is the Op of a rank whose body has returned: it waits for the others.
const Leaving = "leave"

// Wait is a call that a goroutine of a rank waits in.
type Wait struct {
	Op       string  `json:"op"`                 // as in "recv from rank 1 on world, tag 5"
	On       []int   `json:"on,omitempty"`       // ranks of the job that it waits for, in order
	Everyone bool    `json:"everyone,omitempty"` // that is all of the job
	Any      bool    `json:"any,omitempty"`      // one of them is enough
	Sure     bool    `json:"sure,omitempty"`     // only calls of their bodies can end it, not a handler
	Seconds  float64 `json:"for"`                // so far
}
