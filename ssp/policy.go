package ssp

import (
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// Clock counts the iterations that a worker has ended with [Worker.Clock], and
// names the updates that a copy of a row contains: a copy of age a has all
// updates of all workers that were made when they had ended fewer than a.
type Clock int64

// Policy says how old the copies may be that reads use, and how updates
// travel. It is a comparable value; the zero Policy is none at all: in a
// TableSpec it stands for that of Config, in Config for BSP.
type Policy struct {
	kind      kind
	staleness int32
}

type kind uint8

const (
	unset kind = iota
	bsp
	ssp
	essp
	async
)

// maxStaleness bounds s of SSP and ESSP.
const maxStaleness = 1 << 30

// BSP is bulk synchronous: a read sees all updates of earlier clocks, of all
// workers. The updates of a clock are invisible until all of them have come,
// and are applied in the order of the ranks: results are the same bit for bit
// whenever ranks and workers are.
func BSP() Policy { return Policy{kind: bsp} }

// SSP is stale synchronous parallel: at clock c a read sees at least all
// updates of clocks before c−s. Copies are kept as long as they are fresh
// enough, then asked for again (Ho et al., NIPS 2013). It panics unless
// 0 <= s <= 2³⁰.
func SSP(s int) Policy { return bounded(ssp, s) }

// ESSP has the bound of SSP, but rows that were read once are pushed by their
// owner at every advance of its clock (Dai et al., AAAI 2015), so that they
// are mostly much fresher. It panics unless 0 <= s <= 2³⁰.
func ESSP(s int) Policy { return bounded(essp, s) }

// Async has no bound: updates leave at the worker's own Clock, rows that were
// read once are pushed whenever they have changed, and only the first read of
// a row waits.
func Async() Policy { return Policy{kind: async} }

func bounded(k kind, s int) Policy {
	if s < 0 || s > maxStaleness {
		panic("ssp: staleness " + strconv.Itoa(s))
	}
	return Policy{kind: k, staleness: int32(s)}
}

// Staleness returns the bound s of the policy; ok is false when it has none.
func (p Policy) Staleness() (s Clock, ok bool) {
	return Clock(p.staleness), p.kind != async
}

// String returns the text that ParsePolicy reads, such as "ssp:3".
func (p Policy) String() string {
	switch p.kind {
	case bsp:
		return "bsp"
	case ssp:
		return "ssp:" + strconv.Itoa(int(p.staleness))
	case essp:
		return "essp:" + strconv.Itoa(int(p.staleness))
	case async:
		return "async"
	}
	return "none"
}

// ParsePolicy reads "bsp", "ssp:3", "essp:3" or "async". "ssp" and "essp"
// without a number take their bound from staleness, which must not be negative
// then. A staleness above zero that contradicts the text is an error.
func ParsePolicy(text string, staleness int) (Policy, error) {
	name, bound, given := strings.Cut(text, ":")
	k := bsp
	switch name {
	case "bsp":
	case "async":
		k = async
	case "ssp":
		k = ssp
	case "essp":
		k = essp
	default:
		return Policy{}, errors.Errorf("policy %q: expected bsp, ssp:S, essp:S or async", text)
	}
	if k == bsp || k == async {
		if given {
			return Policy{}, errors.Errorf("policy %q: %s takes no staleness", text, name)
		}
		if staleness > 0 {
			return Policy{}, errors.Errorf("policy %s contradicts a staleness of %d", name, staleness)
		}
		return Policy{kind: k}, nil
	}
	if !given {
		if staleness < 0 || staleness > maxStaleness {
			return Policy{}, errors.Errorf("policy %s with a staleness of %d: expected 0 to %d", name, staleness, maxStaleness)
		}
		return bounded(k, staleness), nil
	}
	s, err := strconv.ParseUint(bound, 10, 31)
	if err != nil || s > maxStaleness {
		return Policy{}, errors.Errorf("policy %q: staleness %q: expected a number from 0 to %d", text, bound, maxStaleness)
	}
	if staleness > 0 && staleness != int(s) {
		return Policy{}, errors.Errorf("policy %s contradicts a staleness of %d", text, staleness)
	}
	return bounded(k, int(s)), nil
}

// ordered: the batches of a clock are applied together, in rank order.
func (p Policy) ordered() bool { return p.kind == bsp }

// pushes: the first read of a row subscribes to it.
func (p Policy) pushes() bool { return p.kind == essp || p.kind == async }

// eager: updates leave at the worker's own Clock and are pushed when applied.
func (p Policy) eager() bool { return p.kind == async }

// unbounded as a slack lets a read use any copy.
const unbounded Clock = 1 << 60

// slack is the bound of reads.
func (p Policy) slack() Clock {
	if p.kind == async {
		return unbounded
	}
	return Clock(p.staleness)
}
