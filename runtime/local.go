package runtime

// Local returns what a library keeps with the communicator on this rank, the
// same for all its spaces, and makes it with create when there is nothing yet
// under key. A library's key has a type of its own. Local costs no message; the
// value lives as long as the communicator.
func (c *Comm) Local(key any, create func() any) any {
	c.e.mu.Lock()
	v, ok := c.group.locals[key]
	c.e.mu.Unlock()
	if ok {
		return v
	}
	v = create() // may use the communicator
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if old, ok := c.group.locals[key]; ok {
		return old
	}
	if c.group.locals == nil {
		c.group.locals = map[any]any{}
	}
	c.group.locals[key] = v
	return v
}
