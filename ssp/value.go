package ssp

import (
	"math"
	"slices"
	"strconv"
)

// Bound says how VAP and CVAP bound values.
type Bound uint8

// What a bound on values may have beside its threshold.
const (
	// Strong bounds also what some other workers see already and others do not: for
	// every row, by all workers together.
	Strong Bound = 1 << iota
	// Sqrt lets the threshold shrink: it is v/√(c+1) for the updates of clock c.
	Sqrt
	// Element bounds every element by itself, by signed sums. Without it there is one
	// number for a row, the sum of the greatest magnitudes of its updates: that
	// bounds every element too, whatever the signs, and costs less.
	Element
)

var boundWords = []string{"strong", "sqrt", "element"}

// VAP is value-bounded asynchronous: of what a worker has added to a parameter,
// no more than v is not visible to all other workers yet, or than a single update
// where that is larger (Wei et al., Consistency models of distributed machine
// learning, 2013). There is no bound in clocks. Updates leave and are pushed at
// once, as under Async. It panics unless v > 0, which may be +Inf.
//
// Our definitions: the update of a clock is all that the worker adds to a
// parameter in it. It counts from when Clock, or Close or Sync, hands it over:
// those wait until the bound lets it in, Inc never waits. It is visible to a worker
// when it is in the copy of the worker's rank, from which the worker's first read
// in a clock is taken; rows of the worker's own rank are read where they are
// applied. A rank that has no copy of any row of an owner lacks nothing. Two
// workers of a rank are to each other what two ranks are.
//
// Under the weak bound two workers see values that differ by at most max(u, v) for
// each worker, where u is the largest update. With Strong an owner holds a batch
// back, from its own rank's workers too, while more than max(u, v) of what it has
// let go has not reached everybody; together with what the two have handed over
// themselves their views differ by at most 3·max(u, v). Batches that are held back
// are let go in the order in which they came, and with them all that the same rank
// sends afterwards. A shrinking threshold binds an update by its own clock.
func VAP(v float64, b ...Bound) Policy { return valued(vap, 0, v, b) }

// CVAP has both the bound of VAP and that of SSP(s). It panics unless v > 0 and
// 0 <= s <= 2³⁰.
func CVAP(s int, v float64, b ...Bound) Policy { return valued(cvap, s, v, b) }

func valued(k kind, s int, v float64, b []Bound) Policy {
	if !(v > 0) {
		panic("ssp: a bound on values of " + strconv.FormatFloat(v, 'g', -1, 64))
	}
	p := bounded(k, s)
	p.value = v
	for _, x := range b {
		p.bound |= x
	}
	return p
}

// valued: there is a bound on values.
func (p Policy) valued() bool { return p.kind == vap || p.kind == cvap }

// threshold bounds the updates of a clock.
func (p Policy) threshold(clock int64) float64 {
	if p.bound&Sqrt != 0 {
		return p.value / math.Sqrt(float64(clock)+1)
	}
	return p.value
}

// values reads V, or with staleness S,V, and the words behind them.
func values(k kind, usage string) func(*arguments) (Policy, error) {
	return func(a *arguments) (Policy, error) {
		at := 0
		p := Policy{kind: k}
		if k == cvap {
			if len(a.list) == 0 {
				return Policy{}, a.fail("expected %s", usage)
			}
			var err error
			if p.staleness, err = a.bound(0); err != nil {
				return Policy{}, err
			}
			at = 1
		} else if err := a.loose(); err != nil {
			return Policy{}, err
		}
		if at >= len(a.list) {
			return Policy{}, a.fail("expected %s", usage)
		}
		v, err := strconv.ParseFloat(a.list[at], 64)
		if err != nil || !(v > 0) {
			return Policy{}, a.fail("bound %q: expected a number above 0, or inf", a.list[at])
		}
		p.value = v
		for _, word := range a.list[at+1:] {
			i := slices.Index(boundWords, word)
			if i < 0 {
				return Policy{}, a.fail("%q: expected strong, sqrt or element", word)
			}
			if p.bound&(1<<i) != 0 {
				return Policy{}, a.fail("%s is there twice", word)
			}
			p.bound |= 1 << i
		}
		return p, nil
	}
}

func valueArgs(p Policy) string {
	text := strconv.FormatFloat(p.value, 'g', -1, 64)
	if p.kind == cvap {
		text = strconv.Itoa(int(p.staleness)) + "," + text
	}
	for i, word := range boundWords {
		if p.bound&(1<<i) != 0 {
			text += "," + word
		}
	}
	return text
}
