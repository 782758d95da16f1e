//go:build !race

package ssp_test

const raceEnabled = false
