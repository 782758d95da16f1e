package launcher

import (
	"strings"

	"github.com/pkg/errors"
)

// SplitWords splits a command into words like a shell: at blanks outside single
// and double quotes; a backslash outside single quotes keeps the next character.
func SplitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, escaped := false, false
	var quote rune
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteRune(c)
			}
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteRune(c)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.Errorf("%s: a quote or backslash without its end", s)
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
