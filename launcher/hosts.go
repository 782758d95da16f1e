package launcher

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// Host is a machine of a job.
type Host struct {
	Name  string // as the user wrote it, without the rest; IPv6 without brackets
	User  string // to log in as; "" means the remote shell's default
	Port  int    // of its SSH server; 0 means the remote shell's default
	Slots int    // ranks it takes; 0 means that nobody said
	Addr  string // IP address of the mesh there; "" means it is found out
	Where string // file:line, for messages

	here bool // this machine, whatever its name
}

// Limits of what a hosts file can ask for.
const (
	maxHosts = 1 << 14
	maxSlots = 1 << 16
	maxLine  = 1 << 16
)

// ParseHosts reads a hosts file. A line holds a host, as
// [user@]name[:N] [slots=N] [port=P] [addr=A]; node[01-16,20] in the name
// stands for many, an IPv6 address is written in brackets, and # starts a
// comment. A host that comes again adds its slots to the first. Errors name the
// file and the line.
func ParseHosts(file string, r io.Reader) ([]Host, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	var hosts []Host
	number := 0
	for in.Scan() {
		number++
		line, _, _ := strings.Cut(in.Text(), "#")
		where := fmt.Sprintf("%s:%d", file, number)
		found, err := parseHostLine(line)
		if err != nil {
			return nil, errors.WithMessage(err, where)
		}
		for i := range found {
			found[i].Where = where
		}
		if hosts, err = mergeHosts(hosts, found); err != nil {
			return nil, errors.WithMessage(err, where)
		}
	}
	if err := in.Err(); err != nil {
		return nil, errors.Wrapf(err, "%s:%d", file, number+1)
	}
	if len(hosts) == 0 {
		return nil, errors.Errorf("%s: no hosts", file)
	}
	return hosts, nil
}

// ParseHostList reads hosts that are separated by commas, as on the command
// line: a:4,b[1-3]:8,user@c.
func ParseHostList(list string) ([]Host, error) {
	var hosts []Host
	for _, item := range splitOutside(list) {
		found, err := parseHostLine(item)
		if err == nil && len(found) == 0 {
			err = errors.New("an empty host")
		}
		if err == nil {
			for i := range found {
				found[i].Where = "-host"
			}
			hosts, err = mergeHosts(hosts, found)
		}
		if err != nil {
			return nil, errors.WithMessagef(err, "-host %s", list)
		}
	}
	return hosts, nil
}

// splitOutside splits at commas outside brackets.
func splitOutside(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range s {
		switch {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// mergeHosts adds hosts to the list. One that is there already adds its slots.
func mergeHosts(hosts, more []Host) ([]Host, error) {
	index := make(map[string]int, len(hosts))
	for i, h := range hosts {
		index[h.Name] = i
	}
	for _, h := range more {
		i, ok := index[h.Name]
		if !ok {
			index[h.Name] = len(hosts)
			hosts = append(hosts, h)
			continue
		}
		old := &hosts[i]
		switch {
		case old.User != h.User || old.Port != h.Port || old.Addr != h.Addr:
			return nil, errors.Errorf("host %s differs from %s in user, port or addr", h.Name, old.Where)
		case old.Slots == 0 || h.Slots == 0:
			return nil, errors.Errorf("host %s again (first at %s) without slots", h.Name, old.Where)
		case old.Slots+h.Slots > maxSlots:
			return nil, errors.Errorf("host %s has more than %d slots", h.Name, maxSlots)
		}
		old.Slots += h.Slots
	}
	if len(hosts) > maxHosts {
		return nil, errors.Errorf("more than %d hosts", maxHosts)
	}
	return hosts, nil
}

// parseHostLine parses one line without its comment; a blank one is no host.
func parseHostLine(line string) ([]Host, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return nil, nil
	}
	var h Host
	name := fields[0]
	if user, rest, ok := strings.Cut(name, "@"); ok {
		if user == "" || strings.HasPrefix(user, "-") {
			return nil, errors.Errorf("%s: no user before @", shown(fields[0]))
		}
		h.User, name = user, rest
	}
	if strings.Contains(name, "=") {
		return nil, errors.Errorf("%s: a line starts with the host's name", shown(fields[0]))
	}
	names, err := parseHostName(&h, name)
	if err != nil {
		return nil, errors.WithMessage(err, shown(fields[0]))
	}
	seen := make(map[string]bool)
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, errors.Errorf("%s: want key=value (slots, port, addr)", shown(f))
		}
		if seen[key] || key == "slots" && h.Slots != 0 {
			return nil, errors.Errorf("%s: said twice", shown(f))
		}
		seen[key] = true
		switch key {
		case "slots":
			h.Slots, err = parseNumber(value, maxSlots)
		case "port":
			h.Port, err = parseNumber(value, 65535)
		case "addr":
			h.Addr, err = parseAddr(value)
			if err == nil && len(names) > 1 {
				err = errors.New("one address for many hosts")
			}
		default:
			err = errors.New("unknown key: want slots, port or addr")
		}
		if err != nil {
			return nil, errors.WithMessage(err, shown(f))
		}
	}
	hosts := make([]Host, len(names))
	for i, n := range names {
		hosts[i] = h
		hosts[i].Name = n
	}
	return hosts, nil
}

// shown returns a word of the user's as messages show it: what is no text, or
// too much of it, comes from the wrong file.
func shown(word string) string {
	const most = 60
	quoted := strconv.Quote(word)
	switch {
	case len(word) > most:
		return strconv.Quote(word[:most]) + "…"
	case quoted != `"`+word+`"`:
		return quoted
	}
	return word
}

// parseHostName parses name, name:N, [IPv6], [IPv6]:N and ranges, and returns
// the names that it stands for.
func parseHostName(h *Host, s string) ([]string, error) {
	if strings.HasPrefix(s, "[") {
		if end := strings.IndexByte(s, ']'); end > 0 {
			if a, err := netip.ParseAddr(s[1:end]); err == nil && a.Is6() {
				return []string{s[1:end]}, parseSlots(h, s[end+1:])
			}
		}
	} else if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
		return nil, errors.New("an IPv6 address is written in brackets")
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if err := parseSlots(h, s[i:]); err != nil {
			return nil, err
		}
		s = s[:i]
	}
	names, err := expandRanges(s, 0)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if err := validName(n); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// parseSlots parses ":N", or nothing.
func parseSlots(h *Host, s string) error {
	if s == "" {
		return nil
	}
	n, ok := strings.CutPrefix(s, ":")
	if !ok {
		return errors.Errorf("%q after the address", s)
	}
	var err error
	h.Slots, err = parseNumber(n, maxSlots)
	return errors.WithMessage(err, "slots")
}

// expandRanges expands the first bracket of a name and, by recursion, those
// after it.
func expandRanges(s string, depth int) ([]string, error) {
	open := strings.IndexByte(s, '[')
	if open < 0 {
		if strings.IndexByte(s, ']') >= 0 {
			return nil, errors.New("] without [")
		}
		return []string{s}, nil
	}
	end := strings.IndexByte(s, ']')
	if end < open {
		return nil, errors.New("[ without ]")
	}
	if depth > 3 {
		return nil, errors.New("too many ranges in a name")
	}
	rests, err := expandRanges(s[end+1:], depth+1)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, part := range strings.Split(s[open+1:end], ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		a, err1 := strconv.ParseUint(lo, 10, 31)
		b, err2 := strconv.ParseUint(hi, 10, 31)
		if err1 != nil || err2 != nil || a > b {
			return nil, errors.Errorf("range %s: want LO-HI with LO ≤ HI", part)
		}
		if (b-a+1)*uint64(len(rests)) > maxHosts || len(out) > maxHosts {
			return nil, errors.Errorf("range %s: more than %d hosts", part, maxHosts)
		}
		for n := a; n <= b; n++ {
			for _, rest := range rests {
				out = append(out, fmt.Sprintf("%s%0*d%s", s[:open], len(lo), n, rest)) // as many digits as LO
			}
		}
	}
	return out, nil
}

// validName refuses what is no host name, above all what a remote shell would
// take for an option.
func validName(s string) error {
	if s == "" {
		return errors.New("no host name")
	}
	if s[0] == '-' || s[0] == '.' {
		return errors.Errorf("%s is not a host name", s)
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '%':
		default:
			return errors.Errorf("%q in a host name", c)
		}
	}
	return nil
}

func parseNumber(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, errors.Errorf("want a number from 1 to %d", most)
	}
	return n, nil
}

func parseAddr(s string) (string, error) {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return "", errors.New("want an IP address")
	}
	return a.String(), nil
}

// isLocal reports whether the host is this machine, reached without a remote
// shell.
func isLocal(h Host) bool {
	if h.here {
		return true
	}
	if h.User != "" || h.Port != 0 {
		return false // whoever writes that wants to log in
	}
	switch h.Name {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	own, err := os.Hostname()
	return err == nil && h.Name == own
}
