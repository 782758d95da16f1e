package runtime

// local is what a library keeps with a communicator.
type local struct{ key, value any }

// Local returns what a library keeps with the communicator on this rank, the
// same for all its spaces, and makes it with create when there is nothing yet
// under key. A library's key has a type of its own. Local costs no message; the
// value lives as long as the communicator.
func (c *Comm) Local(key any, create func() any) any {
	g := c.group
	if l := g.recent.Load(); l != nil && l.key == key {
		return l.value // every collective call asks: it need not wait for who polls
	}
	c.e.mu.Lock()
	l := g.locals[key]
	c.e.mu.Unlock()
	if l == nil {
		made := &local{key, create()} // may use the communicator
		c.e.mu.Lock()
		if l = g.locals[key]; l == nil {
			if g.locals == nil {
				g.locals = map[any]*local{}
			}
			l = made
			g.locals[key] = l
		}
		c.e.mu.Unlock()
	}
	g.recent.Store(l)
	return l.value
}
