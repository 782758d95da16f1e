//go:build !linux || portable

package runtimetest

// shares is whether ranks can share memory here.
const shares = false
