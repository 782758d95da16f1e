//go:build !linux

package runtime

import goruntime "runtime"

// yield lets somebody else run.
func yield() { goruntime.Gosched() }
