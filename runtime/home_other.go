//go:build !linux

package runtime

const canMove = false

// home is the core that a rank goes back to: none, here.
type home struct{}

func (e *engine) findHome() {}

func (h *home) pass() { yield() }
