// Package corpus makes a bag of words from the comments of Go's standard
// library: real text that is present wherever Go is.
package corpus

import (
	"bufio"
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

const (
	// boilerplate is how often a line may occur in all files before it is
	// dropped: licence headers, headings of generated tables.
	boilerplate = 10
	// least is in how many files a word must occur, and most in what share of
	// all files it may: others are names of one place, or tell nothing.
	least = 5
	most  = 0.10
)

// Corpus is a bag of words.
type Corpus struct {
	Files []string // of each document: slash-separated, below the root
	Words []string // the vocabulary, sorted
	Bags  [][]Entry
}

// Entry is how often a word occurs in a document.
type Entry struct{ Word, Count int }

// Tokens returns the number of words of all documents.
func (c *Corpus) Tokens() int {
	n := 0
	for _, bag := range c.Bags {
		for _, e := range bag {
			n += e.Count
		}
	}
	return n
}

// Package returns the top-level package of a document: the first folder of its
// path ("net" of net/http/server.go).
func (c *Corpus) Package(doc int) string {
	name, _, _ := strings.Cut(c.Files[doc], "/")
	return name
}

// Folder returns the package of a document: net/http of net/http/server.go.
func (c *Corpus) Folder(doc int) string {
	name := c.Files[doc]
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}

// Read makes the corpus of the Go files below root, one document a file, tests
// included, without the folders cmd, vendor and testdata and without generated
// files. Files whose comments leave no word are no documents.
func Read(root string) (*Corpus, error) {
	var names []string
	var texts [][]string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if path == "cmd" || d.Name() == "vendor" || d.Name() == "testdata" {
				return fs.SkipDir
			}
		case strings.HasSuffix(path, ".go") && strings.Contains(path, "/"):
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
			if err != nil {
				return err
			}
			if !generated(source) {
				names, texts = append(names, path), append(texts, lines(source))
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Wrapf(err, "read the sources of Go in %s", root)
	}
	if len(names) == 0 {
		return nil, errors.Errorf("no Go files in %s", root)
	}
	return build(names, texts), nil
}

// build makes the corpus of documents given as lines.
func build(names []string, texts [][]string) *Corpus {
	f, times := newFilter(), map[string]int{}
	for _, text := range texts {
		for _, line := range text {
			times[line]++
		}
	}
	counts := make([]map[string]int, len(texts))
	files := map[string]int{} // in which a word occurs
	for i, text := range texts {
		counts[i] = map[string]int{}
		for _, line := range text {
			if times[line] > boilerplate {
				continue
			}
			for _, w := range f.words(line) {
				counts[i][w]++
			}
		}
		for w := range counts[i] {
			files[w]++
		}
	}
	c := &Corpus{}
	for w, n := range files {
		if n >= least && float64(n) <= most*float64(len(texts)) {
			c.Words = append(c.Words, w)
		}
	}
	slices.Sort(c.Words)
	for i, name := range names {
		var bag []Entry
		for w, n := range counts[i] {
			if at, ok := slices.BinarySearch(c.Words, w); ok {
				bag = append(bag, Entry{at, n})
			}
		}
		if len(bag) > 0 {
			slices.SortFunc(bag, func(a, b Entry) int { return a.Word - b.Word })
			c.Files, c.Bags = append(c.Files, name), append(c.Bags, bag)
		}
	}
	return c
}

// generated reports whether the file says that a program wrote it, in a line
// before its package clause (go.dev/s/generatedcode).
func generated(source []byte) bool {
	for line := range bytes.Lines(source) {
		line = bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(line, []byte("package ")) {
			return false
		}
		if bytes.HasPrefix(line, []byte("// Code generated ")) && bytes.HasSuffix(line, []byte(" DO NOT EDIT.")) {
			return true
		}
	}
	return false
}

// lines returns the lines of prose in a file's comments: no directives, no
// indented code.
func lines(source []byte) []string {
	var out []string
	set := token.NewFileSet()
	var s scanner.Scanner
	s.Init(set.AddFile("", -1, len(source)), source, func(token.Position, string) {}, scanner.ScanComments)
	for {
		_, tok, text := s.Scan()
		if tok == token.EOF {
			return out
		}
		if tok != token.COMMENT {
			continue
		}
		if block, ok := strings.CutPrefix(text, "/*"); ok {
			for line := range strings.Lines(strings.TrimSuffix(block, "*/")) {
				out = prose(out, strings.TrimRight(line, "\r\n"))
			}
			continue
		}
		line := strings.TrimPrefix(text, "//")
		if line != "" && line[0] != ' ' && line[0] != '\t' { // //go:build, //line, commented-out code
			continue
		}
		if strings.HasPrefix(line, " +build ") {
			continue
		}
		out = prose(out, strings.TrimPrefix(line, " "))
	}
}

// prose appends a line unless it is empty or indented as code is.
func prose(out []string, line string) []string {
	if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "   ") || strings.TrimSpace(line) == "" {
		return out
	}
	return append(out, strings.TrimSpace(line))
}

// filter decides what is a word.
type filter struct {
	urls *regexp.Regexp
	stop map[string]bool
}

func newFilter() *filter {
	f := &filter{urls: regexp.MustCompile(`\S*(://|www\.|golang\.org/|go\.dev/|github\.com/)\S*`), stop: map[string]bool{}}
	for _, w := range strings.Fields(stopWords) {
		f.stop[w] = true
	}
	return f
}

// words returns the words of a line of prose as the corpus counts them: lower
// case, three letters and more, plurals folded, without identifiers in mixed
// case, names with digits, URLs and stop words.
func (f *filter) words(line string) []string {
	if strings.Contains(line, "Copyright") {
		return nil
	}
	line = f.urls.ReplaceAllString(line, " ")
	var out []string
	for _, raw := range strings.FieldsFunc(line, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '\'')
	}) {
		raw, _, _ = strings.Cut(strings.Trim(raw, "'"), "'") // the reader's, don't
		if w, ok := f.word(raw); ok {
			out = append(out, w)
		}
	}
	return out
}

// word returns the form of a word that the corpus counts, if it does.
func (f *filter) word(raw string) (string, bool) {
	for i := range len(raw) {
		c := raw[i]
		if c == '_' || c >= '0' && c <= '9' || i > 0 && c >= 'A' && c <= 'Z' && strings.ToUpper(raw) != raw {
			return "", false
		}
	}
	w := strings.ToLower(raw)
	if len(w) < 3 || f.stop[w] {
		return "", false
	}
	if raw != strings.ToUpper(raw) { // an S may be the end of an acronym
		w = singular(w)
	}
	return w, len(w) >= 3 && !f.stop[w]
}

// singular folds the regular plurals.
func singular(w string) string {
	stem, ok := strings.CutSuffix(w, "s")
	switch {
	case !ok || len(w) < 4:
		return w
	case strings.HasSuffix(w, "ies") && len(w) > 4:
		return w[:len(w)-3] + "y"
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "xes"), strings.HasSuffix(w, "ches"), strings.HasSuffix(w, "shes"), strings.HasSuffix(w, "zzes"):
		return w[:len(w)-2]
	case strings.HasSuffix(w, "ss"), strings.HasSuffix(w, "us"), strings.HasSuffix(w, "is"), strings.HasSuffix(w, "as"):
		return w
	}
	return stem
}

// Write writes the corpus as the UCI repository does: docword is three lines
// with the numbers of documents, words and entries, then `doc word count`,
// numbered from 1; vocab is a word a line, and docs a file a line.
func (c *Corpus) Write(docword, vocab, docs io.Writer) error {
	entries := 0
	for _, bag := range c.Bags {
		entries += len(bag)
	}
	out := bufio.NewWriter(docword)
	fmt.Fprintf(out, "%d\n%d\n%d\n", len(c.Bags), len(c.Words), entries)
	for d, bag := range c.Bags {
		for _, e := range bag {
			fmt.Fprintf(out, "%d %d %d\n", d+1, e.Word+1, e.Count)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if _, err := io.WriteString(vocab, strings.Join(c.Words, "\n")+"\n"); err != nil {
		return err
	}
	_, err := io.WriteString(docs, strings.Join(c.Files, "\n")+"\n")
	return err
}
