package runtime

import (
	"time"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Messages that wait for credits leave in order, so that one whose receive is
// posted may wait behind many whose receives come later: on another communicator,
// with another tag, or of another collective operation, which the peer reaches only
// when it has the first. So where no credits come for a while, all are announced,
// as long messages always are, whatever the window says, and wait for their receives.
// Not at once: to announce each takes three frames, and mostly the peer is only slow.

// droughtAfter is how long no credits have come then. A receiver that does nothing
// else returns a quarter of the smallest window in a tenth of it.
const droughtAfter = 20 * time.Millisecond

// expectDrought has somebody look after a while whether credits have come.
func (e *engine) expectDrought(window int) {
	if e.looking || !announces(window) {
		return
	}
	e.looking = true
	for i := range e.peers {
		e.peers[i].fed = [windows]bool{}
	}
	if e.drought == nil {
		e.drought = time.AfterFunc(droughtAfter, e.lookForDroughts)
	} else {
		e.drought.Reset(droughtAfter)
	}
}

// announces reports whether what waits for credits of a window are messages.
func announces(window int) bool { return window == forMessages || window == forSpaces }

func (e *engine) lookForDroughts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		e.looking = false
		return
	}
	again := -1
	for i := range e.peers {
		p := &e.peers[i]
		for window := range windows {
			if announces(window) && p.waiting[window].first != nil && !p.fed[window] {
				e.announceAll(p, window)
			}
		}
	}
	for i := range e.peers { // also those that have come to wait meanwhile
		p := &e.peers[i]
		for window := range windows {
			if announces(window) && p.waiting[window].first != nil && !p.dry[window] {
				again = window
			}
		}
	}
	e.looking = false
	if again >= 0 {
		e.expectDrought(again)
	}
	e.flush()
}

// announceAll announces all that waits for credits.
func (e *engine) announceAll(p *peer, window int) {
	p.dry[window] = true
	for r := p.waiting[window].first; r != nil; r = r.nextSend {
		if r.head.Kind == wire.Eager {
			e.lastOp++
			r.head.Kind, r.head.Flags, r.head.ID = wire.Request, 0, e.lastOp
		}
	}
	e.drain(p, window)
}

func (e *engine) endDroughts() {
	if e.drought != nil {
		e.drought.Stop()
	}
}
