//go:build !race && linux && !portable

package tcp

const raceEnabled = false
