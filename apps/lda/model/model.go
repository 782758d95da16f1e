// Package model is a topic model as a file, and what readers make of it.
package model

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// Count is how often a topic occurs somewhere.
type Count struct {
	Topic int32
	N     int32
}

// Document is a document's topics.
type Document struct {
	Number int32 // in the corpus, from 1
	Topics []Count
}

// Model is the state of a collapsed Gibbs sampler: how often each topic was
// assigned to a word and in a document.
type Model struct {
	Topics      int
	Alpha, Beta float64    // priors
	Words       []string   // the vocabulary
	WordTopics  [][]Count  // of each word of the vocabulary
	Docs        []Document // ascending by number
}

const magic = "sspurn-lda 1"

// Write writes the model as text: seven lines of head, then a line
//
//	0 word 3:12 7:1
//
// for each word (the line of Mallet's word-topic-counts files: number, word,
// topic:count), then a line `1 3:5 7:2` for each document.
func (m *Model) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s\ntopics %d\nalpha %g\nbeta %g\nwords %d\ndocuments %d\n\n", magic, m.Topics, m.Alpha, m.Beta, len(m.Words), len(m.Docs))
	var line []byte
	counts := func(list []Count) {
		for _, c := range list {
			line = append(line, ' ')
			line = strconv.AppendInt(line, int64(c.Topic), 10)
			line = append(line, ':')
			line = strconv.AppendInt(line, int64(c.N), 10)
		}
		line = append(line, '\n')
		_, _ = b.Write(line) // the error stays with the writer until Flush
		line = line[:0]
	}
	for i, word := range m.Words {
		line = strconv.AppendInt(line, int64(i), 10)
		line = append(append(line, ' '), word...)
		counts(m.WordTopics[i])
	}
	for _, d := range m.Docs {
		line = strconv.AppendInt(line, int64(d.Number), 10)
		counts(d.Topics)
	}
	return b.Flush()
}

// Read reads what Write wrote. An error names the line.
func Read(r io.Reader) (*Model, error) {
	p := &parser{in: bufio.NewReader(r)}
	m, err := p.model()
	if err != nil {
		return nil, errors.WithMessagef(err, "line %d", p.line)
	}
	return m, nil
}

type parser struct {
	in   *bufio.Reader
	line int
}

func (p *parser) next() (string, error) {
	p.line++
	text, err := p.in.ReadString('\n')
	if err == io.EOF {
		return "", errors.New("the file ends too early")
	}
	return strings.TrimSuffix(text, "\n"), errors.Wrap(err, "read")
}

func (p *parser) model() (*Model, error) {
	text, err := p.next()
	if err != nil {
		return nil, err
	}
	if text != magic {
		return nil, errors.Errorf("expected %q, found %.40q", magic, text)
	}
	m := &Model{}
	var words, docs int
	for _, h := range []struct {
		key   string
		value any
	}{{"topics", &m.Topics}, {"alpha", &m.Alpha}, {"beta", &m.Beta}, {"words", &words}, {"documents", &docs}} {
		if text, err = p.next(); err != nil {
			return nil, err
		}
		if n, err := fmt.Sscanf(text, h.key+" %v", h.value); n != 1 || err != nil {
			return nil, errors.Errorf("expected %s and a number, found %.40q", h.key, text)
		}
	}
	if m.Topics < 1 || words < 0 || docs < 0 {
		return nil, errors.New("expected numbers above 0 in the head")
	}
	if text, err = p.next(); err != nil || text != "" {
		return nil, errors.New("expected an empty line after the head")
	}
	for i := range words { // lines decide how much is allocated, not the head
		fields, err := p.fields()
		if err != nil {
			return nil, err
		}
		if len(fields) < 2 || fields[0] != strconv.Itoa(i) {
			return nil, errors.Errorf("expected %d, a word and its topics", i)
		}
		list, err := p.counts(fields[2:], m.Topics)
		if err != nil {
			return nil, err
		}
		m.Words, m.WordTopics = append(m.Words, fields[1]), append(m.WordTopics, list)
	}
	for range docs {
		fields, err := p.fields()
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseInt(fields[0], 10, 32)
		if err != nil || number < 1 {
			return nil, errors.Errorf("expected the number of a document, found %.40q", fields[0])
		}
		list, err := p.counts(fields[1:], m.Topics)
		if err != nil {
			return nil, err
		}
		m.Docs = append(m.Docs, Document{Number: int32(number), Topics: list})
	}
	return m, nil
}

// fields returns the fields of the next line, at least one.
func (p *parser) fields() ([]string, error) {
	text, err := p.next()
	return strings.Split(text, " "), err
}

func (p *parser) counts(fields []string, topics int) ([]Count, error) {
	list := make([]Count, 0, len(fields))
	for _, f := range fields {
		a, b, ok := strings.Cut(f, ":")
		k, err1 := strconv.ParseInt(a, 10, 32)
		n, err2 := strconv.ParseInt(b, 10, 32)
		if !ok || err1 != nil || err2 != nil || k < 0 || int(k) >= topics || n < 1 {
			return nil, errors.Errorf("expected topic:count with a topic below %d, found %.40q", topics, f)
		}
		list = append(list, Count{int32(k), int32(n)})
	}
	return list, nil
}
