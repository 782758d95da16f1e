package launcher

import (
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// fitted cuts a line to the width of a terminal.
func fitted(term *os.File, line string) string {
	return text.Snip(line, Columns(term)-1, "…")
}

// Columns returns the width of a terminal, 80 when it does not say, and 0 for
// anything else.
func Columns(f *os.File) int {
	if !isTerminal(f) {
		return 0
	}
	if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 1 {
		return int(size.Col)
	}
	return 80
}
