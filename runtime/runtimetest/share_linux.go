//go:build !portable

package runtimetest

// shares is whether ranks can share memory here.
const shares = true
