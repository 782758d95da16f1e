package launcher

import (
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// fitted cuts a line to the width of a terminal.
func fitted(term *os.File, line string) string {
	return text.Snip(line, width(term)-1, "…")
}

// width returns the columns of a terminal, 80 when it does not say.
func width(term *os.File) int {
	if size, err := unix.IoctlGetWinsize(int(term.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 1 {
		return int(size.Col)
	}
	return 80
}
