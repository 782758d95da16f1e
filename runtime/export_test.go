package runtime

import "github.com/sspurn/sspurn/runtime/internal/transport"

// IsShared reports whether the ranks share a window's memory.
func IsShared[T Elem](w *Window[T]) bool { return w.view.shared != nil }

// HoldPart takes the lock of a part of a window as an operation does.
func HoldPart[T Elem](w *Window[T], rank int) (release func()) {
	lock := &w.view.shared.parts[rank].head.lock
	for !lock.CompareAndSwap(0, 1) {
		yield()
	}
	return func() { lock.Store(0) }
}

// Asleep reports whether calls of a rank are to be told of changes of its part.
func Asleep[T Elem](w *Window[T], rank int) bool {
	return w.view.shared.parts[rank].head.asleep.Load() != 0
}

// Maps returns how many windows in shared memory a rank has mapped.
func Maps(c *Comm) int { return int(c.e.maps.Load()) }

// NoDrought has messages wait for credits for as long as it takes.
func NoDrought(c *Comm) {
	c.e.mu.Lock()
	c.e.looking = true
	c.e.mu.Unlock()
}

// NoRoom leaves a rank without room for memory to be shared.
func NoRoom(c *Comm) error {
	s := c.e.t.(transport.Sharer)
	at, n := s.Room()
	return s.Take(at, n)
}

// Taken has a rank find the identity of the next communicator taken.
func Taken(c *Comm) {
	c.e.mu.Lock()
	c.e.shut[c.e.nextID] = true
	c.e.mu.Unlock()
}

// Held is the credits of all ranks that messages hold here, of the program's and of
// private spaces.
func Held(c *Comm) (messages, spaces int) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for i := range c.e.peers {
		messages += c.e.peers[i].held[forMessages]
		spaces += c.e.peers[i].held[forSpaces]
	}
	return messages, spaces
}
