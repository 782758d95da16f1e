package main

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"strconv"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/linalg"
)

// model is a factorisation in the form of LIBMF's model files (text, squared
// loss), which its mf-predict reads: the value of (user, item) is the product
// of two rows. Biases and the mean become coordinates of their own: a user's
// row is (p, b_user + mean, 1) and an item's (q, 1, b_item). A row that no
// rating touched is absent, and a pair with an absent row has the value base.
type model struct {
	k            int     // length of a row, two more than the rank
	base         float32 // the mean
	users, items []float32
	hasUser      []bool
	hasItem      []bool
}

func newModel(rank, users, items int, base float32) *model {
	k := rank + 2
	return &model{
		k: k, base: base,
		users: make([]float32, users*k), hasUser: make([]bool, users),
		items: make([]float32, items*k), hasItem: make([]bool, items),
	}
}

// setUsers takes over trained users: rows holds p and b_user for each number.
func (m *model) setUsers(numbers []int32, rows []float32) {
	for i, u := range numbers {
		row, rank := rows[i*(m.k-1):][:m.k-1], m.k-2
		to := m.users[int(u)*m.k:][:m.k]
		copy(to, row[:rank])
		to[rank], to[rank+1] = row[rank]+m.base, 1
		m.hasUser[u] = true
	}
}

// setItem takes over a trained item: q and b_item.
func (m *model) setItem(item int32, row []float32) {
	rank, to := m.k-2, m.items[int(item)*m.k:][:m.k]
	copy(to, row[:rank])
	to[rank], to[rank+1] = 1, row[rank]
	m.hasItem[item] = true
}

// predict returns the value of any pair of numbers.
func (m *model) predict(user, item int32) float32 {
	if int(user) >= len(m.hasUser) || int(item) >= len(m.hasItem) || !m.hasUser[user] || !m.hasItem[item] {
		return m.base
	}
	return linalg.Dot(m.users[int(user)*m.k:][:m.k], m.items[int(item)*m.k:][:m.k])
}

// write writes the model. Numbers have as many digits as it takes to read the
// same bits back.
func (m *model) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var b []byte
	head := func(key string, value int) {
		b = append(append(b, key...), ' ')
		b = append(strconv.AppendInt(b, int64(value), 10), '\n')
	}
	head("f", 0) // squared loss
	head("m", len(m.hasUser))
	head("n", len(m.hasItem))
	head("k", m.k)
	b = append(b, "b "...)
	b = append(strconv.AppendFloat(b, float64(m.base), 'g', -1, 32), '\n')
	if _, err := out.Write(b); err != nil {
		return err
	}
	for _, part := range []struct {
		name byte
		has  []bool
		rows []float32
	}{{'p', m.hasUser, m.users}, {'q', m.hasItem, m.items}} {
		for i, has := range part.has {
			b = append(b[:0], part.name)
			b = strconv.AppendInt(b, int64(i), 10)
			b = append(b, " F"...)
			if has {
				b[len(b)-1] = 'T'
			}
			for k := range m.k {
				b = append(b, ' ')
				b = strconv.AppendFloat(b, float64(part.rows[i*m.k+k]), 'g', -1, 32)
			}
			b = append(b, '\n')
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// readModel reads a model file. Errors are *apps.InputError.
func readModel(path string) (*model, error) {
	r := modelReader{}
	if err := apps.ReadLines(path, apps.Part{}, r.line); err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, &apps.InputError{File: path, Err: err}
	}
	return r.m, nil
}

// modelReader takes the lines of a model file one by one.
type modelReader struct {
	head         [4]int // f m n k
	lines        int
	m            *model
	users, items int // rows read
}

// maxRank bounds the length of a row in a model file.
const maxRank = 1 << 16

func (r *modelReader) line(text []byte) error {
	key, rest, _ := bytes.Cut(text, []byte{' '})
	n := r.lines
	r.lines++
	const keys = "fmnk"
	switch {
	case n < len(keys):
		v, err := strconv.Atoi(string(rest))
		if string(key) != keys[n:n+1] || err != nil || v < 0 || n == 0 && v != 0 || n == 3 && (v < 1 || v > maxRank) || v > math.MaxInt32 {
			return errors.Errorf("expected %q and a number, the head of a model with squared loss, found %q", keys[n:n+1], clip(text))
		}
		r.head[n] = v
		return nil
	case n == len(keys):
		v, err := strconv.ParseFloat(string(rest), 32)
		if string(key) != "b" || err != nil {
			return errors.Errorf(`expected "b" and the mean, found %q`, clip(text))
		}
		r.m = &model{k: r.head[3], base: float32(v)}
		return nil
	case r.users < r.head[1]:
		r.users++
		return parseRow(&r.m.users, &r.m.hasUser, 'p', r.users-1, r.m.k, key, rest, text)
	case r.items < r.head[2]:
		r.items++
		return parseRow(&r.m.items, &r.m.hasItem, 'q', r.items-1, r.m.k, key, rest, text)
	}
	return errors.Errorf("expected the end of the file after %d users and %d items", r.head[1], r.head[2])
}

// parseRow appends a row; arrays grow with the file and not by what its head
// claims.
func parseRow(rows *[]float32, has *[]bool, name byte, number, k int, key, rest, text []byte) error {
	bad := func() error {
		return errors.Errorf(`expected "%c%d", T or F, and %d numbers, found %q`, name, number, k, clip(text))
	}
	flag, rest, _ := bytes.Cut(rest, []byte{' '})
	if string(key) != string(name)+strconv.Itoa(number) || string(flag) != "T" && string(flag) != "F" {
		return bad()
	}
	*has = append(*has, flag[0] == 'T')
	rest = bytes.TrimRight(rest, " ") // LIBMF ends rows with a blank
	for range k {
		word, more, _ := bytes.Cut(rest, []byte{' '})
		v, err := strconv.ParseFloat(string(word), 32)
		if err != nil {
			return bad()
		}
		*rows = append(*rows, float32(v))
		rest = more
	}
	if len(rest) > 0 {
		return bad()
	}
	return nil
}

func (r *modelReader) end() error {
	if r.m == nil || r.users < r.head[1] || r.items < r.head[2] {
		return errors.Errorf("expected %d users and %d items, the file ends after %d and %d", r.head[1], r.head[2], r.users, r.items)
	}
	return nil
}

// clip shortens text for a message.
func clip(text []byte) []byte { return text[:min(len(text), 40)] }
