//go:build !linux

package main

// adoptOrphans and killOrphans do nothing here: what leaves its process group
// stays.
func adoptOrphans() {}

func killOrphans() {}
