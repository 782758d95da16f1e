//go:build !portable

package main

const sharing = true // ranks of a host share memory
