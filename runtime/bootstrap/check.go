package bootstrap

import (
	"os"
	"strconv"
	"strings"
)

// EnvCheck is set where a program is started only for its arguments to be checked:
// the number of an inherited descriptor to which it says what it thinks of them.
const EnvCheck = "SSPURN_CHECK"

// checked is said of good arguments; anything else is what is wrong with them.
const checked = "ok"

// Checking returns tell when this process was started only for its arguments to be
// checked, as lookup (os.LookupEnv as a rule) knows: a program that has looked at
// them calls it, with what is wrong or nil, and ends. Otherwise ok is false. FromEnv
// does so for programs that do not: they have joined, so their arguments are good.
func Checking(lookup func(string) (string, bool)) (tell func(error), ok bool) {
	text, set := lookup(EnvCheck)
	fd, err := strconv.Atoi(text)
	if !set || err != nil || fd < 3 {
		return nil, false
	}
	return func(wrong error) {
		text := checked
		if wrong != nil {
			text = strings.ReplaceAll(wrong.Error(), "\n", "; ")
		}
		file := os.NewFile(uintptr(fd), "check")
		_, _ = file.WriteString(text + "\n") // nobody else could be told
		_ = file.Close()
	}, true
}

// Checked returns what was told through the descriptor, "" for good arguments; ok
// is false when it is nothing whole.
func Checked(said []byte) (wrong string, ok bool) {
	text, ok := strings.CutSuffix(string(said), "\n")
	if text == checked {
		text = ""
	}
	return text, ok
}
