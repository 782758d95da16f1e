//go:build !portable

package runtimetest

const shares = true
