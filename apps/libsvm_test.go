package apps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime"
)

func TestReadLIBSVM(t *testing.T) {
	const text = "# a comment\n" +
		"+1 1:0.5 3:-2 7:1e-3\n" +
		"\n" +
		"-1\t2:1\t4:0 9:3 # trailing\n" +
		"  0 9:1 2:4 5:.25\r\n" +
		"2\n" +
		"1.5 0:12345678.125"
	var r Rows
	if err := ReadLIBSVM(write(t, "x", []byte(text)), Part{}, LIBSVMFormat{}, &r); err != nil {
		t.Fatal(err)
	}
	want := Rows{
		Label: []float64{1, -1, 0, 2, 1.5}, Number: []int64{0, 1, 2, 3, 4}, Start: []int{0, 3, 5, 8, 8, 9},
		Col: []int32{1, 3, 7, 2, 9, 2, 5, 9, 0}, Val: []float32{0.5, -2, 1e-3, 1, 3, 4, 0.25, 1, 12345678.125}, Unsorted: 1,
	}
	if !slices.Equal(r.Label, want.Label) || !slices.Equal(r.Number, want.Number) || !slices.Equal(r.Start, want.Start) ||
		!slices.Equal(r.Col, want.Col) || !slices.Equal(r.Val, want.Val) || r.Unsorted != want.Unsorted {
		t.Errorf("got %+v\nwant %+v", r, want)
	}
	if col, val := r.Row(2); !slices.Equal(col, []int32{2, 5, 9}) || !slices.Equal(val, []float32{4, 0.25, 1}) {
		t.Errorf("row 2: %v %v", col, val)
	}
}

// TestLIBSVMPartsAreTheFile: whatever the form of the files and the number of
// ranks, every row is read once and has its number over all files.
func TestLIBSVMPartsAreTheFile(t *testing.T) {
	var text [2]strings.Builder
	want := int64(0)
	for f, rows := range []int{9000, 31} { // the first is longer than two blocks
		for range rows {
			fmt.Fprintf(&text[f], "%d", want)
			for k := range int(Mix(uint64(want)) % 20) {
				fmt.Fprintf(&text[f], " %d:%d.5", k*1000+1, want%7)
			}
			text[f].WriteString(" #\n")
			if want%5 == 0 {
				text[f].WriteString("# nothing\n\n")
			}
			want++
		}
	}
	for _, form := range forms {
		paths := []string{write(t, "a", pack(t, form, []byte(text[0].String()))), write(t, "b", pack(t, "plain", []byte(text[1].String())))}
		for _, ranks := range []int{1, 2, 3, 5, 8} {
			parts := make([]Rows, ranks)
			err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
				r := &parts[c.Rank()]
				for _, path := range paths {
					if err := ReadLIBSVM(path, Part{c.Rank(), ranks}, LIBSVMFormat{}, r); err != nil {
						return err
					}
				}
				return r.Renumber(ctx, c)
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := make([]bool, want)
			for rank := range parts {
				r := &parts[rank]
				for i, n := range r.Number {
					if n < 0 || n >= want || seen[n] || float64(n) != r.Label[i] {
						t.Fatalf("%s, rank %d of %d: row %g has number %d, or comes twice", form, rank, ranks, r.Label[i], n)
					}
					seen[n] = true
					if got := r.Start[i+1] - r.Start[i]; n%7 >= 0 && got != int(Mix(uint64(n))%20) {
						t.Fatalf("%s: row %d has %d values", form, n, got)
					}
				}
			}
			if slices.Contains(seen, false) {
				t.Errorf("%s, %d ranks: row %d is missing", form, ranks, slices.Index(seen, false))
			}
		}
	}
}

func TestLIBSVMFaults(t *testing.T) {
	binary := LIBSVMFormat{Label: func(x float64) error {
		if x == 0 || x == 1 {
			return nil
		}
		return errors.New("expected a label of 0 or 1")
	}}
	for _, x := range []struct {
		line   string
		format LIBSVMFormat
		want   string
	}{
		{"one 1:2", LIBSVMFormat{}, "a number as the label"},
		{"nan 1:2", LIBSVMFormat{}, "a number as the label"},
		{"1 2", LIBSVMFormat{}, `"label column:value ..."`},
		{"1 qid:3 1:2", LIBSVMFormat{}, "whole number up to 268435455"},
		{"1 268435456:1", LIBSVMFormat{}, "whole number up to 268435455"},
		{"1 -1:1", LIBSVMFormat{}, "whole number up to 268435455"},
		{"1 1.5:1", LIBSVMFormat{}, "whole number up to 268435455"},
		{"1 1:", LIBSVMFormat{}, "a number behind the colon"},
		{"1 1:x", LIBSVMFormat{}, "a number behind the colon"},
		{"1 1:inf", LIBSVMFormat{}, "a number behind the colon"},
		{"1 1:1e39", LIBSVMFormat{}, "a number behind the colon"},
		{"1 1:0x10", LIBSVMFormat{}, "a number behind the colon"},
		{"1 1: 2", LIBSVMFormat{}, "a number behind the colon"},
		{"1 5:1 3:1 5:2", LIBSVMFormat{}, "column 5 twice"},
		{"1 5:0 5:0", LIBSVMFormat{}, "column 5 twice"},
		{"1 1:0.5", LIBSVMFormat{Counts: true}, "count of at least 1"},
		{"1 1:-1", LIBSVMFormat{Counts: true}, "count of at least 1"},
		{"2 1:1", binary, "label of 0 or 1"},
		{"1 " + strings.Repeat("z", 100), LIBSVMFormat{}, `"...`},
	} {
		for _, form := range forms {
			path := write(t, "rows", pack(t, form, []byte("1 1:1\n1 1:1\n"+x.line+"\n1 1:1\n")))
			err := ReadLIBSVM(path, Part{}, x.format, &Rows{})
			if err == nil || !strings.HasPrefix(err.Error(), path+":3: ") || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%q: error %v, want one for line 3 that says %s", x.line, err, x.want)
			}
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "1", "+1", "-12", "0.1", "-.5", "5.", "123456.789012", "0.000000000000001", "999999999999999", "1e5", "-2.5E-3",
		"0.30000000000000004", "1234567890123456789",
	} {
		want, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := decimal([]byte(s)); !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: %v, %v; want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "-", "+", ".", "1.2.3", "--1", "1-", "1_0", "nan", "inf", "0x1p3", "1e999"} {
		if got, ok := decimal([]byte(s)); ok {
			t.Errorf("%q is the number %v", s, got)
		}
	}
}

func FuzzParseLIBSVM(f *testing.F) {
	for _, s := range []string{"+1 1:0.5 3:-2", "-1\t2:1 4:0 9:3 # x", "0 9:1 2:4", "1 1:1e-60", "# 1 2:3", "1 0:1 0:2", "1 1:+.5e1", "1.5#"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, counts bool) {
		p := libsvm{format: LIBSVMFormat{Counts: counts}}
		label, ok, err := p.parse(text)
		if ok == (blank(text) || err != nil) {
			t.Fatalf("%q: a row: %v, blank: %v, error %v", text, ok, blank(text), err)
		}
		if !ok {
			return
		}
		var again bytes.Buffer
		fmt.Fprintf(&again, "%v", label)
		for i, c := range p.col {
			v := p.val[i]
			if c < 0 || c > maxID || i > 0 && c <= p.col[i-1] || v == 0 || math.IsInf(float64(v), 0) || v != v || counts && v < 1 {
				t.Fatalf("%q: columns %v, values %v", text, p.col, p.val)
			}
			fmt.Fprintf(&again, " %d:%v", c, v)
		}
		q := libsvm{format: p.format}
		l, ok, err := q.parse(again.Bytes())
		if err != nil || !ok || l != label || !slices.Equal(q.col, p.col) || !slices.Equal(q.val, p.val) {
			t.Fatalf("%q reads as %q, and that as %v %v %v, %v", text, again.Bytes(), l, q.col, q.val, err)
		}
	})
}

func BenchmarkParseLIBSVM(b *testing.B) {
	line := []byte("-1 3:0.25 11:1 14:1 19:-1.5 39:1 42:1 55:12.125 64:1 67:1 73:1 75:1 76:1 80:1 83:1")
	p := libsvm{}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
