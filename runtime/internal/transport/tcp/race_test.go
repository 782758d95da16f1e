//go:build race && linux && !portable

package tcp

const raceEnabled = true
