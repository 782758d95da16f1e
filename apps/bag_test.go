package apps

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// corpus returns a docword file: documents of very different lengths, some of
// them empty.
func corpus(docs int) (text string, entries int) {
	var b strings.Builder
	for d := 1; d <= docs; d++ {
		n := int(Mix(uint64(d)) % 7)
		if d%11 == 0 {
			n = 200
		}
		for w := 1; w <= n; w++ {
			fmt.Fprintf(&b, "%d %d %d\n", d, w, d%3+1)
			entries++
		}
	}
	return fmt.Sprintf("%d\n%d\n%d\n%s", docs, 200, entries, b.String()), entries
}

func TestReadBagKeepsDocumentsWhole(t *testing.T) {
	text, entries := corpus(100)
	whole, err := ReadBag(write(t, "all", []byte(text)), Part{})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Docs != 100 || whole.Words != 200 || int(whole.Entries) != entries || len(whole.Word) != entries {
		t.Fatalf("%d documents, %d words, %d entries, %d read; want 100, 200, %d", whole.Docs, whole.Words, whole.Entries, len(whole.Word), entries)
	}
	for _, form := range forms {
		path := write(t, "docword", pack(t, form, []byte(text)))
		for _, parts := range []int{1, 2, 3, 5, 8, 40} {
			got := &Bag{Docs: whole.Docs, Words: whole.Words, Entries: whole.Entries, Start: []int{0}}
			for i := range parts {
				b, err := ReadBag(path, Part{i, parts})
				if err != nil {
					t.Fatal(err)
				}
				if len(b.Start) != len(b.Doc)+1 {
					t.Fatalf("%s: part %d of %d: %d starts of %d documents", form, i, parts, len(b.Start), len(b.Doc))
				}
				if parts == 3 && len(b.Word) < entries/6 {
					t.Errorf("%s: part %d of 3 has %d of %d entries", form, i, len(b.Word), entries)
				}
				for d := range b.Doc {
					got.Start = append(got.Start, got.Start[len(got.Start)-1]+b.Start[d+1]-b.Start[d])
				}
				got.Doc, got.Word, got.Count = append(got.Doc, b.Doc...), append(got.Word, b.Word...), append(got.Count, b.Count...)
			}
			if !reflect.DeepEqual(got, whole) {
				t.Errorf("%s: %d parts together are not the whole", form, parts)
			}
		}
	}
	if err := whole.Check("x", int64(entries)); err != nil {
		t.Error(err)
	}
	if err := whole.Check("x", int64(entries-1)); err == nil || !strings.HasPrefix(err.Error(), "x:3: ") {
		t.Errorf("a missing entry: %v", err)
	}
}

func TestReadBagFaults(t *testing.T) {
	for _, x := range []struct {
		text string
		line int
		want string
	}{
		{"", 0, "end of the file"},
		{"2\n3\n", 2, "end of the file"},
		{"2\nx\n1\n", 2, "three lines"},
		{"2 3\n3\n1\n", 1, "three lines"},
		{"999999999\n3\n1\n", 3, "at most"},
		{"2\n3\n1\n1 2\n", 4, `"doc word count"`},
		{"2\n3\n1\n1 2 3 4\n", 4, `"doc word count"`},
		{"2\n3\n1\n3 1 1\n", 4, "document from 1 to 2"},
		{"2\n3\n1\n0 1 1\n", 4, "document from 1 to 2"},
		{"2\n3\n1\n1 4 1\n", 4, "word from 1 to 3"},
		{"2\n3\n1\n1 0 1\n", 4, "word from 1 to 3"},
		{"2\n3\n1\n1 1 0\n", 4, "count of at least 1"},
		{"2\n3\n2\n2 1 1\n1 1 1\n", 5, "ordered by document"},
	} {
		for _, form := range forms {
			path := write(t, "docword", pack(t, form, []byte(x.text)))
			_, err := ReadBag(path, Part{})
			if err == nil || !strings.Contains(err.Error(), x.want) || x.line > 0 && !strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d: ", path, x.line)) {
				t.Errorf("%q, %s: error %v, want one for line %d that says %q", x.text, form, err, x.line, x.want)
			}
		}
	}
}

func TestReadVocab(t *testing.T) {
	path := write(t, "vocab", pack(t, "gzip", []byte("aa\nb c\nd\n")))
	got, err := ReadVocab(path, 3)
	if want := []string{"aa", "b c", "d"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := ReadVocab(path, 4); err == nil || !strings.Contains(err.Error(), "expected 4 words, found 3") {
		t.Errorf("too few words: %v", err)
	}
}

func FuzzReadBag(f *testing.F) {
	text, _ := corpus(12)
	f.Add([]byte(text), uint8(3))
	f.Add([]byte("1\n1\n1\n1 1 1"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, parts uint8) {
		n := int(parts%6) + 1
		read := func(part Part) (*Bag, error) {
			s, err := newSource("docword", bytes.NewReader(text), int64(len(text)))
			if err != nil {
				return nil, err
			}
			defer s.Close()
			return readBag(s, part)
		}
		whole, err := read(Part{})
		if err != nil {
			return
		}
		entries, tokens := 0, int64(0)
		for i := range n {
			b, err := read(Part{i, n})
			if err != nil {
				// A line longer than the reader looks back may look wrong from
				// its middle; that is an error and not a wrong answer.
				return
			}
			entries += len(b.Word)
			tokens += b.Tokens()
		}
		if entries != len(whole.Word) || tokens != whole.Tokens() {
			t.Fatalf("%d parts hold %d entries and %d tokens, the whole %d and %d", n, entries, tokens, len(whole.Word), whole.Tokens())
		}
	})
}
