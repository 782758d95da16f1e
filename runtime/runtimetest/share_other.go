//go:build !linux || portable

package runtimetest

const shares = false
