package apps

import (
	"io"

	"github.com/pkg/errors"
)

// Bag is a part of a corpus as bags of words. Document i of the part is number
// Doc[i] in the file and holds the entries [Start[i], Start[i+1]): Count[e]
// times the word Word[e].
type Bag struct {
	Docs, Words int   // documents and words of the whole corpus, by the file's head
	Entries     int64 // entries of the whole corpus, by the file's head

	Doc   []int32 // 1-based, ascending; documents without words are absent
	Start []int
	Word  []int32 // 0-based: the word in line Word+1 of the vocabulary
	Count []int32
}

// Tokens returns the number of tokens in the part.
func (b *Bag) Tokens() int64 {
	n := int64(0)
	for _, c := range b.Count {
		n += int64(c)
	}
	return n
}

// ReadBag reads this part of a corpus in the format of the UCI repository's
// docword files: three lines with the numbers of documents, words and entries,
// then an entry a line, `doc word count`, numbered from 1 and ordered by
// document. A document is never divided: it belongs to the part in which its
// first entry lies (plain file: by bytes, of which only this part is read;
// gzip or zstd: by the number of the entry). Errors are *[InputError]. The sum
// of len(Word) over the parts should be Entries, which [Bag.Check] verifies.
func ReadBag(path string, part Part) (*Bag, error) {
	s, err := openSource(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return readBag(s, part)
}

func readBag(s *source, part Part) (b *Bag, err error) {
	b = &Bag{Start: []int{}}
	if err := b.head(s); err != nil {
		return nil, err
	}
	if s.packed {
		err = b.stream(s, part)
	} else {
		err = b.slice(s, part)
	}
	if err != nil {
		return nil, err
	}
	b.Start = append(b.Start, len(b.Word))
	return b, nil
}

// Check reports whether the number of entries that all parts hold together is
// the one that the head of the file announced.
func (b *Bag) Check(path string, entries int64) error {
	if entries == b.Entries {
		return nil
	}
	return &InputError{File: path, Line: 3, Err: errors.Errorf("expected %d entries, found %d", b.Entries, entries)}
}

func (b *Bag) head(s *source) error {
	for _, into := range []func(int64){
		func(n int64) { b.Docs = int(n) },
		func(n int64) { b.Words = int(n) },
		func(n int64) { b.Entries = n },
	} {
		text, _, err := s.next()
		if err == io.EOF {
			err = errors.New(`expected the numbers of documents, words and entries in three lines, found the end of the file`)
		}
		if err != nil {
			return s.fault(err)
		}
		first, rest := field(text)
		n, ok := integer(first, 1<<40)
		if more, _ := field(rest); !ok || len(more) > 0 {
			return s.fault(expected("the numbers of documents, words and entries in three lines", text))
		}
		into(n)
	}
	if b.Docs > maxID || b.Words > maxID {
		return s.fault(errors.Errorf("expected at most %d documents and words, found %d and %d", maxID, b.Docs, b.Words))
	}
	return nil
}

// stream reads all entries and keeps the part's.
func (b *Bag) stream(s *source, part Part) error {
	n, doc, keep := int64(0), int32(0), false
	return s.each(func(int64) bool { return true }, func(text []byte) error {
		d, word, count, err := b.parse(text)
		if err != nil {
			return err
		}
		if d != doc {
			if d < doc {
				return errors.Errorf("expected entries ordered by document, found document %d after %d", d, doc)
			}
			doc = d
			// More entries than announced are found by Check.
			keep = min(n*int64(part.count())/max(b.Entries, 1), int64(part.count())-1) == int64(part.Index)
		}
		n++
		if keep {
			b.add(d, word, count)
		}
		return nil
	})
}

// slice reads the entries of the documents that begin in the part's range of
// bytes.
func (b *Bag) slice(s *source, part Part) error {
	head := s.at
	span := s.size - head
	from, to := head+span*int64(part.Index)/int64(part.count()), head+span*int64(part.Index+1)/int64(part.count())
	last := int32(0) // the document that the previous part finishes
	if from > head {
		var err error
		if last, err = b.before(s, head, from); err != nil {
			return err
		}
	}
	ours := false
	for {
		text, at, err := s.next()
		if err != nil {
			return s.end(err)
		}
		d, word, count, err := b.parse(text)
		if err != nil {
			return s.fault(err)
		}
		if d < last {
			return s.fault(errors.Errorf("expected entries ordered by document, found document %d after %d", d, last))
		}
		if d != last {
			if at >= to {
				return nil
			}
			last, ours = d, true
		} else if !ours && at >= to {
			return nil // one document fills the range and more
		}
		if ours {
			b.add(d, word, count)
		}
	}
}

// before moves to the first line that begins at or behind from and returns the
// document of the line before it.
func (b *Bag) before(s *source, head, from int64) (int32, error) {
	const enough = 256 // bytes, longer than any entry
	s.seek(max(head, from-enough))
	if s.at > head { // most likely within a line
		if _, _, err := s.next(); err != nil {
			return 0, s.end(err)
		}
	}
	last := int32(0)
	for s.at < from {
		text, _, err := s.next()
		if err != nil {
			return 0, s.end(err)
		}
		d, _, _, err := b.parse(text)
		if err != nil {
			return 0, s.fault(err)
		}
		last = d
	}
	return last, nil
}

func (b *Bag) add(doc, word, count int32) {
	if n := len(b.Doc); n == 0 || b.Doc[n-1] != doc {
		b.Doc = append(b.Doc, doc)
		b.Start = append(b.Start, len(b.Word))
	}
	b.Word = append(b.Word, word)
	b.Count = append(b.Count, count)
}

// parse parses an entry; the word comes back 0-based.
func (b *Bag) parse(text []byte) (doc, word, count int32, err error) {
	one, rest := field(text)
	two, rest := field(rest)
	three, rest := field(rest)
	more, _ := field(rest)
	d, ok1 := integer(one, maxID)
	w, ok2 := integer(two, maxID)
	c, ok3 := integer(three, 1<<31-1)
	switch {
	case !ok1 || !ok2 || !ok3 || len(more) > 0:
		return 0, 0, 0, expected(`"doc word count" in whole numbers`, text)
	case d < 1 || d > int64(b.Docs):
		return 0, 0, 0, errors.Errorf("expected a document from 1 to %d, found %d", b.Docs, d)
	case w < 1 || w > int64(b.Words):
		return 0, 0, 0, errors.Errorf("expected a word from 1 to %d, found %d", b.Words, w)
	case c < 1:
		return 0, 0, 0, errors.Errorf("expected a count of at least 1, found %d", c)
	}
	return int32(d), int32(w) - 1, int32(c), nil
}

// ReadVocab reads a word a line; the file may be gzip or zstd. With words above
// 0 it must hold exactly so many. Errors are *[InputError].
func ReadVocab(path string, words int) ([]string, error) {
	var vocab []string
	err := ReadLines(path, Part{}, func(text []byte) error {
		if len(text) == 0 {
			return errors.New("expected a word, found an empty line")
		}
		vocab = append(vocab, string(text))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if words > 0 && len(vocab) != words {
		return nil, &InputError{File: path, Err: errors.Errorf("expected %d words, found %d", words, len(vocab))}
	}
	return vocab, nil
}
