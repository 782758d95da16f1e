package launcher

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// terminal opens a terminal of so many columns. What is written to it can be read
// from screen, to an end when it has been closed.
func terminal(t *testing.T, columns int) (term, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	if term, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	return term, screen
}

// runEnd is how a run of a test ends.
type runEnd int

const (
	endsWell runEnd = iota
	fails
	isInterrupted
)

// The bar is one line on a terminal of any width, and counts the runs that went
// well.
func TestCompareViewOnTerminals(t *testing.T) {
	if os.Getenv("TERM") == "dumb" {
		t.Skip("TERM says that there are no bars")
	}
	bar := regexp.MustCompile(`^ *\d+ % `)
	escapes := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	for _, columns := range []int{16, 30, 45, 59, 80, 200} {
		for name, tt := range map[string]struct {
			ends []runEnd
			last string // line of the bar, where there is room
			done bool
		}{
			"all well":    {[]runEnd{endsWell, endsWell}, "2 of 2 runs", true},
			"one fails":   {[]runEnd{fails, endsWell}, "1 of 2 runs, 1 failed", false},
			"interrupted": {[]runEnd{endsWell, isInterrupted}, "1 of 2 runs", false},
		} {
			t.Run(fmt.Sprintf("%s on %d columns", name, columns), func(t *testing.T) {
				t.Parallel()
				term, screen := terminal(t, columns)
				shown, drawn := make(chan string, 1), make(chan struct{})
				go func() {
					var all strings.Builder
					buf := make([]byte, 4096)
					for first := true; ; {
						n, err := screen.Read(buf)
						all.Write(buf[:n])
						if first && strings.Contains(all.String(), "%") {
							close(drawn)
							first = false
						}
						if err != nil { // EIO: the other side is closed
							shown <- all.String()
							return
						}
					}
				}()
				v, err := newCompareView(&Comparison{Job: Job{RunDir: t.TempDir()}, Settings: []string{"bsp", "ssp:3"}, Repeats: 1}, term)
				if err != nil {
					t.Fatal(err)
				}
				for _, end := range tt.ends {
					trial := Trial{Setting: "bsp", Repeat: 1, Dir: t.TempDir(), Seconds: 4000}
					v.start(&trial)
					v.status(Status{Text: strings.Repeat("a long line ", 30), Done: 0.5})
					<-drawn
					if end != endsWell {
						trial.Failure = &Failure{Code: 130, Cause: "x"}
					}
					v.end(&trial, end == isInterrupted)
				}
				v.close()
				if err := term.Close(); err != nil {
					t.Fatal(err)
				}
				lines, last := 0, ""
				for _, line := range strings.FieldsFunc(escapes.ReplaceAllString(<-shown, ""), func(r rune) bool { return r == '\r' || r == '\n' }) {
					if strings.Contains(line, "done!") {
						last = line
					} else if bar.MatchString(line) {
						lines, last = lines+1, line
						if n := text.StringWidth(line); n >= columns {
							t.Errorf("%d columns: %q", n, line)
						}
					}
				}
				if done := strings.Contains(last, "done!"); lines == 0 || done != tt.done {
					t.Errorf("%d bars, the last %q", lines, last)
				}
				if columns >= 59 && !strings.Contains(last, tt.last) {
					t.Errorf("the last is %q, want %q", last, tt.last)
				}
			})
		}
	}
}
