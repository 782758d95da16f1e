package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pkg/errors"
)

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Output     string
}

// summary prints what go test says as it comes and counts results.
type summary struct {
	out     io.Writer
	verbose bool
	pending map[[2]string]*strings.Builder // output by package and test, until the result is known
	order   map[string][]string            // tests of pending by package, in order of appearance; "" for the package

	packages, tests map[string]int // by action: pass, fail, skip
	broken          int            // packages that did not build
	skips           []string       // test: reason
}

func newSummary(out io.Writer, verbose bool) *summary {
	return &summary{out: out, verbose: verbose,
		pending: map[[2]string]*strings.Builder{}, order: map[string][]string{},
		packages: map[string]int{}, tests: map[string]int{}}
}

func (s *summary) failed() bool { return s.packages["fail"]+s.tests["fail"]+s.broken > 0 }

// read takes the output of go test -json to its end.
func (s *summary) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if line[0] != '{' || json.Unmarshal(line, &e) != nil {
				s.out.Write(line) // go itself speaks, not a test
			} else {
				s.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errors.Wrap(err, "read go test")
		}
	}
}

func (s *summary) take(e event) {
	switch e.Action {
	case "build-output":
		io.WriteString(s.out, e.Output)
	case "build-fail":
		s.broken++
	case "output":
		if s.verbose {
			io.WriteString(s.out, e.Output)
		}
		key := [2]string{e.Package, e.Test}
		b := s.pending[key]
		if b == nil {
			b = new(strings.Builder)
			s.pending[key] = b
			s.order[e.Package] = append(s.order[e.Package], e.Test)
		}
		b.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

func (s *summary) endTest(e event) {
	s.tests[e.Action]++
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "fail":
		return // shown at the end of the package, in order
	case "skip":
		s.skips = append(s.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(s.text(key))))
	}
	delete(s.pending, key)
}

func (s *summary) endPackage(e event) {
	s.packages[e.Action]++
	if !s.verbose {
		for _, test := range s.order[e.Package] { // what is left: failed tests, cut off ones, and the package itself
			if test != "" {
				io.WriteString(s.out, withoutProgress(s.text([2]string{e.Package, test})))
			}
		}
		text := s.text([2]string{e.Package, ""})
		if e.Action == "pass" {
			text = strings.TrimPrefix(text, "PASS\n")
		}
		io.WriteString(s.out, text)
	}
	for _, test := range s.order[e.Package] {
		delete(s.pending, [2]string{e.Package, test})
	}
	delete(s.order, e.Package)
}

func (s *summary) text(key [2]string) string {
	if b := s.pending[key]; b != nil {
		return b.String()
	}
	return ""
}

// withoutProgress drops the lines that go test prints only with -v.
func withoutProgress(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// reason is what a skipped test said last, without the place in the source.
func reason(text string) string {
	said := "no reason given"
	for line := range strings.Lines(withoutProgress(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--- SKIP") {
			continue
		}
		if place, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(place, ".go:") {
			line = rest
		}
		said = line
	}
	return said
}

// print writes the summary.
func (s *summary) print() {
	fmt.Fprintf(s.out, "\npackages: %d ok, %d failed, %d without tests", s.packages["pass"], s.packages["fail"], s.packages["skip"])
	if s.broken > 0 {
		fmt.Fprintf(s.out, ", %d did not build", s.broken)
	}
	fmt.Fprintf(s.out, "\ntests:    %d passed, %d failed, %d skipped\n", s.tests["pass"], s.tests["fail"], s.tests["skip"])
	for _, skip := range s.skips {
		fmt.Fprintln(s.out, "  skipped", skip)
	}
}
