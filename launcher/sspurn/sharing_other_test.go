//go:build !linux || portable

package main

const sharing = false
