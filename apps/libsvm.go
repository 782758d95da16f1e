package apps

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// Rows are labelled sparse rows. Row i has the values Val[e] in the columns
// Col[e] with e in [Start[i], Start[i+1]): none is zero, and columns ascend. The
// numbers of columns are those of the file, so with a file that counts from 1
// column 0 stays empty.
type Rows struct {
	Label  []float64
	Number []int64 // 0-based place of each row among those of its file; see [Rows.Renumber]
	Start  []int   // one more than there are rows, or none at all
	Col    []int32
	Val    []float32

	Unsorted int64 // rows whose columns did not ascend in the file

	spans []span
}

// span is what a part of a file gave.
type span struct {
	from  int   // its first row in Rows
	rows  int64 // of the part, or of the file if whole
	whole bool  // rows are numbered as in the file; otherwise as in the part
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Label) }

// Row returns the columns and values of row i.
func (r *Rows) Row(i int) (col []int32, val []float32) {
	return r.Col[r.Start[i]:r.Start[i+1]], r.Val[r.Start[i]:r.Start[i+1]]
}

// Append adds a row.
func (r *Rows) Append(number int64, label float64, col []int32, val []float32) {
	if len(r.Start) == 0 {
		r.Start = append(r.Start, 0)
	}
	r.Label, r.Number = append(r.Label, label), append(r.Number, number)
	r.Col, r.Val = append(r.Col, col...), append(r.Val, val...)
	r.Start = append(r.Start, len(r.Col))
}

// LIBSVMFormat says which lines are good.
type LIBSVMFormat struct {
	Label  func(label float64) error // says why a label is not one of those expected; nil: all are
	Counts bool                      // values are counts: at least 1, or 0
}

// ReadLIBSVM appends the rows of this part of the file to r. A line is
// `label column:value column:value ...`: a decimal number, then whole numbers
// from 0 to 268435455 with a decimal number each, separated by blanks or tabs.
// What follows a # and blank lines are ignored, and so are values of zero;
// columns that do not ascend are sorted. The file may be gzip or zstd. Errors
// are *[InputError].
func ReadLIBSVM(path string, part Part, format LIBSVMFormat, r *Rows) error {
	s, err := openSource(path)
	if err != nil {
		return err
	}
	defer s.Close()
	at := span{from: r.Len(), whole: s.packed || part.count() == 1}
	p := libsvm{format: format}
	add := func(text []byte) error {
		label, ok, err := p.parse(text)
		if err != nil || !ok {
			return err
		}
		r.Append(at.rows, label, p.col, p.val)
		if p.unsorted {
			r.Unsorted++
		}
		at.rows++
		return nil
	}
	if !s.packed {
		err = s.lines(part, add)
	} else { // all lines come by anyhow: count the rows of the other parts
		mine := false
		err = s.each(func(at int64) bool {
			mine = at/blockBytes%int64(part.count()) == int64(part.Index)
			return true
		}, func(text []byte) error {
			if mine {
				return add(text)
			}
			if !blank(text) {
				at.rows++
			}
			return nil
		})
	}
	r.spans = append(r.spans, at)
	return err
}

// Renumber numbers the rows of all files that have been read, the first file's
// first, as if they were one: from 0, in the order of the files. It is
// collective, after every rank has read its part of the same files, and not to
// be called twice.
func (r *Rows) Renumber(ctx context.Context, c *runtime.Comm) error {
	mine := make([]int64, len(r.spans))
	for i, s := range r.spans {
		mine[i] = s.rows
	}
	all := make([]int64, len(mine)*c.Size())
	if err := collectives.Allgather(ctx, c, all, mine); err != nil {
		return err
	}
	base := int64(0)
	for i, s := range r.spans {
		end := r.Len()
		if i+1 < len(r.spans) {
			end = r.spans[i+1].from
		}
		first, total := base, s.rows
		if !s.whole {
			total = 0
			for rank := range c.Size() {
				n := all[rank*len(mine)+i]
				if rank < c.Rank() {
					first += n
				}
				total += n
			}
		}
		for k := s.from; k < end; k++ {
			r.Number[k] += first
		}
		base += total
	}
	r.spans = nil
	return nil
}

// libsvm parses lines.
type libsvm struct {
	format   LIBSVMFormat
	col      []int32 // of the line parsed last
	val      []float32
	unsorted bool
	order    []libsvmEntry // scratch
}

type libsvmEntry struct {
	col int32
	val float32
}

// blank reports whether a line holds no row.
func blank(text []byte) bool {
	word, _ := libsvmWord(text)
	return len(word) == 0
}

// libsvmWord returns the first word of text and what is behind it; nothing at
// the end or before a #.
func libsvmWord(text []byte) (word, rest []byte) {
	i := 0
	for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
		i++
	}
	j := i
	for j < len(text) && text[j] != ' ' && text[j] != '\t' && text[j] != '#' {
		j++
	}
	return text[i:j], text[j:]
}

// parse parses a line into p; ok is false when it holds no row.
func (p *libsvm) parse(text []byte) (label float64, ok bool, err error) {
	const format = `"label column:value ..."`
	p.col, p.val, p.unsorted = p.col[:0], p.val[:0], false
	word, rest := libsvmWord(text)
	if len(word) == 0 {
		return 0, false, nil
	}
	if label, ok = decimal(word); !ok {
		return 0, false, expected(format+" with a number as the label", text)
	}
	if p.format.Label != nil {
		if err := p.format.Label(label); err != nil {
			return 0, false, err
		}
	}
	last := int64(-1)
	for {
		if word, rest = libsvmWord(rest); len(word) == 0 {
			break
		}
		colon := 0
		for colon < len(word) && word[colon] != ':' {
			colon++
		}
		if colon == len(word) {
			return 0, false, expected(format, word)
		}
		col, fine := integer(word[:colon], maxID)
		if !fine {
			return 0, false, expected(`"column:value" with a whole number up to 268435455`, word)
		}
		val, fine := decimal(word[colon+1:])
		if !fine || math.Abs(val) > math.MaxFloat32 {
			return 0, false, expected(`"column:value" with a number behind the colon`, word)
		}
		if p.format.Counts && val != 0 && val < 1 {
			return 0, false, expected(`"column:value" with a count of at least 1`, word)
		}
		p.unsorted = p.unsorted || col <= last
		last = col
		p.col, p.val = append(p.col, int32(col)), append(p.val, float32(val))
	}
	if p.unsorted {
		if err := p.sort(); err != nil {
			return 0, false, err
		}
	}
	n := 0
	for i, v := range p.val { // a value too small for float32 is zero as well
		if v != 0 {
			p.col[n], p.val[n] = p.col[i], v
			n++
		}
	}
	p.col, p.val = p.col[:n], p.val[:n]
	return label, true, nil
}

func (p *libsvm) sort() error {
	p.order = p.order[:0]
	for i, c := range p.col {
		p.order = append(p.order, libsvmEntry{c, p.val[i]})
	}
	slices.SortFunc(p.order, func(a, b libsvmEntry) int { return cmp.Compare(a.col, b.col) })
	for i, e := range p.order {
		if i > 0 && e.col == p.order[i-1].col {
			return errors.Errorf("expected every column once, found column %d twice", e.col)
		}
		p.col[i], p.val[i] = e.col, e.val
	}
	return nil
}

// decimal parses a finite decimal number like number, without allocating for
// those of up to 15 digits and no exponent, which are exact: both the digits
// and the power of ten are floats.
func decimal(text []byte) (float64, bool) {
	digits, n, point, i := uint64(0), 0, -1, 0
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		i = 1
	}
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b >= '0' && b <= '9':
			digits = digits*10 + uint64(b-'0')
			n++
		case b == '.' && point < 0:
			point = n
		default:
			return number(text)
		}
		if n > 15 {
			return number(text)
		}
	}
	if n == 0 {
		return 0, false
	}
	x := float64(digits)
	if point >= 0 {
		x /= pow10[n-point]
	}
	if text[0] == '-' {
		x = -x
	}
	return x, true
}

// pow10 holds the powers of ten that decimal divides by.
var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
