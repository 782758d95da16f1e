package ssp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/backup"
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
	first     Priority // under Managed
	staleness int32    // in blocks, where there are any
	block     int32    // clocks that leave together; 0: one
	number    int32    // of Backup: workers; of DBW: the rule
	bound     Bound
	value     float64 // VAP's threshold
}

type kind uint8

const (
	unset kind = iota
	bsp
	ssp
	essp
	async
	auto
	absp
	capped
	fssp
	backups
	vap
	cvap
	dbw
	managed
	kinds
)

// scheme is how a kind of policy is written: NAME, or NAME:ARGUMENTS with commas
// between them.
type scheme struct {
	name  string
	usage string
	parse func(a *arguments) (Policy, error)
	args  func(p Policy) string // what follows the colon, "" or nil: nothing
}

var schemes = [kinds]scheme{
	bsp:   {"bsp", "bsp", plain(bsp), nil},
	ssp:   {"ssp", "ssp:S", bounds(ssp), staleness},
	essp:  {"essp", "essp:S", bounds(essp), staleness},
	async: {"async", "async", plain(async), nil},
	auto:  {"auto", "auto[:S]", parseAuto, staleness},

	absp:    {"absp", "absp:K", blocks, blockArgs},
	capped:  {"cap", "cap:S", bounds(capped), staleness},
	fssp:    {"fssp", "fssp:S", bounds(fssp), staleness},
	dbw:     {"dbw", "dbw[:RULE]", parseDBW, func(p Policy) string { return dbwRules[p.number] }},
	backups: {"backup", "backup:B", parseBackup, func(p Policy) string { return strconv.Itoa(int(p.number)) }},
	vap:     {"vap", vapUsage, values(vap, vapUsage), valueArgs},
	cvap:    {"cvap", cvapUsage, values(cvap, cvapUsage), valueArgs},
	managed: {"managed", managedUsage, parseManaged, managedArgs},
}

const (
	vapUsage  = "vap:V[,strong][,sqrt][,element]"
	cvapUsage = "cvap:S,V[,strong][,sqrt][,element]"
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

// FSSP is SSP that frees the other ranks from those that are slow all the time
// (Shi et al., A free stale synchronous parallel strategy for distributed
// machine learning, BDE 2019). It is a policy of a store, whose tables have it
// or Async. The bound of SSP holds among the ranks that count; rows travel as
// under ESSP. Of the paper only the abstract is known to us, and what follows is
// our definition.
//
// A rank is slow when the weighted mean (0.3 for the latest) of its own time for
// an iteration, waits excluded, is above 1.5 times the median of the ranks that
// count, while it is the last of them and somebody waits for it, at the ends of
// five iterations that were that long themselves. Then it is freed: nobody waits
// for it any more, its reads are not gated and use the freshest rows, its
// updates are applied when they come. At most 30 % of the ranks are freed at a
// time, and two always count. When the mean of a freed rank is below 1.2 times
// the median at the ends of three iterations in a row, it counts again: its next
// Clock skips to the clock of the others. Changes are notes in the record of
// rank 0, which decides.
//
// Workers of a rank are freed together, by the time of the slowest. Who is freed
// stays so beyond Sync, which waits for everybody. It panics unless 0 <= s <= 2³⁰.
func FSSP(s int) Policy { return bounded(fssp, s) }

// Backup is BSP that does not wait for all: an iteration is over when the batches
// of all ranks but b have come, and those that come later are dropped (Chen et
// al., Revisiting distributed synchronous SGD, 2016). It is a policy of a store,
// with all its tables. Rank 0's shard decides who came first, by the arrival of
// whole batches there, for all shards alike; when ranks have closed their
// workers, an iteration waits for those that are left. Updates of a clock are
// applied together, in the order of the ranks, as they are: their sum is over n−b
// ranks, so what an app divides by is n−b.
//
// A worker whose iteration is over without it goes on, with its next Clock, to
// the newest one, and skips the numbers between; see [Worker.Outdated]. What it
// reads until then may be newer than its clock, and its own updates of earlier
// clocks are not in what it reads unless they counted. [Stats] says how many
// batches of a rank counted. Updates that no Clock has handed over are applied by
// Sync, as ever. It panics unless 0 <= b <= 2³⁰; Open returns an error unless
// b is less than the number of ranks.
func Backup(b int) Policy {
	if b < 0 || b > maxStaleness {
		panic("ssp: " + strconv.Itoa(b) + " backup workers")
	}
	return Policy{kind: backups, number: int32(b)}
}

// DBW is Backup in which the number of ranks that an iteration waits for follows
// the training (Xu, Neglia and Sebastianelli, Dynamic backup workers for parallel
// machine learning, 2020): that which promises the largest decrease of the loss a
// second, from estimates of the gradient's norm and noise, the loss's smoothness
// and the times at which the ranks' results come. It is for gradient descent with
// a fixed rate, in tables of floats; each worker says the loss with [Worker.Loss],
// without which an iteration waits for all. Updates of floats are those of all
// ranks: when k of n count, their sum is applied n/k times, so that a program
// is the same as under BSP; those of integers are applied as they are.
//
// Where the paper's text was not at hand, in window lengths, the fit of the times
// and the guard against rising losses, the rules are ours; package backup has them.
// The figures of an iteration may come in while the next one runs, and change what
// that waits for.
func DBW() Policy { return Policy{kind: dbw} }

// BlindDBW is DBW with the number that gets the most gradients a second, whatever
// they are worth: the paper's B-DBW, to compare with.
func BlindDBW() Policy { return Policy{kind: dbw, number: int32(backup.Blind)} }

// AdaSync is DBW with a number that grows as the loss falls, with the square root
// of the first loss over the loss, which must be positive: the growth of AdaSync
// (Dutta et al., Slow and stale gradients can win the race, 2018) in our reading.
func AdaSync() Policy { return Policy{kind: dbw, number: int32(backup.Adaptive)} }

// Async has no bound: updates leave at the worker's own Clock, rows that were
// read once are pushed whenever they have changed, and only the first read of
// a row waits.
func Async() Policy { return Policy{kind: async} }

// Auto is ESSP whose staleness each worker chooses anew while the job runs, from
// 0 to s, by what its clocks cost: more where clocks become shorter by it, less
// where it is not used or does not help, or where the loss that Store.Loss tells
// of gets worse. No read is staler than s. The rules are our own, see package
// tuner. It panics unless 0 <= s <= 63.
func Auto(s int) Policy {
	if s < 0 || s > maxAuto {
		panic("ssp: staleness " + strconv.Itoa(s) + " of auto")
	}
	return Policy{kind: auto, staleness: int32(s)}
}

const (
	maxAuto     = 63
	defaultAuto = 7
)

func parseAuto(a *arguments) (Policy, error) {
	if len(a.list) == 0 && a.staleness <= 0 {
		return Auto(defaultAuto), nil
	}
	p, err := bounds(auto)(a)
	if err == nil && p.staleness > maxAuto {
		return Policy{}, a.fail("expected a staleness of at most %d", maxAuto)
	}
	return p, err
}

// CAP is clock-bounded asynchronous: the bound is that of SSP, but updates leave
// at the worker's own Clock, or before it, at a read, when many rows have
// gathered, and rows that were read once are pushed whenever they have changed
// (Wei et al., Consistency models of distributed machine learning, 2013). It
// panics unless 0 <= s <= 2³⁰.
func CAP(s int) Policy { return bounded(capped, s) }

func bounded(k kind, s int) Policy {
	if s < 0 || s > maxStaleness {
		panic("ssp: staleness " + strconv.Itoa(s))
	}
	return Policy{kind: k, staleness: int32(s)}
}

// Staleness returns the bound s of the policy: a copy that is read has an age of
// at least the reader's clock − s. ok is false when it has none. Under WPC(k, s)
// it is k·(s+1)−1. That of FSSP holds among the ranks that count.
func (p Policy) Staleness() (s Clock, ok bool) {
	return p.Block()*(Clock(p.staleness)+1) - 1, p.limited()
}

// Typical is the staleness that a program may reckon with when it decides how
// often to clock: the bound, and 3 where there is none or workers choose it.
func (p Policy) Typical() Clock {
	if s, ok := p.Staleness(); ok && !p.tuned() {
		return s
	}
	return typical
}

const typical = 3

// Frees reports whether the bound does not hold for ranks that are slow: FSSP.
func (p Policy) Frees() bool { return p.kind == fssp }

// Drops reports whether updates that come too late are dropped: Backup, DBW.
func (p Policy) Drops() bool { return p.kind == backups || p.kind == dbw }

// Backups returns the number of backup workers of Backup; ok is false under other
// policies.
func (p Policy) Backups() (b int, ok bool) {
	if p.kind != backups {
		return 0, false
	}
	return int(p.number), true
}

// String returns the text that ParsePolicy reads, such as "ssp:3".
func (p Policy) String() string {
	if p.kind == unset {
		return "none"
	}
	s := schemes[p.kind]
	if s.args != nil {
		if args := s.args(p); args != "" {
			return s.name + ":" + args
		}
	}
	return s.name
}

// ParsePolicy reads "bsp", "ssp:3", "essp:3", "async", "auto:7", "absp:4",
// "absp:2,1" (WPC), "cap:3", "fssp:3", "backup:2" or "dbw"; "vap:0.1" or
// "cvap:3,0.1", also with strong, sqrt or element behind a comma; and "managed:3",
// also with relmag, mag, fifo or random behind one. "ssp" and the like without a
// number take their bound from staleness, which must not be negative then; "auto"
// without one has a bound of 7. A staleness above zero that contradicts the text
// is an error.
func ParsePolicy(text string, staleness int) (Policy, error) {
	name, args, given := strings.Cut(text, ":")
	for k := unset + 1; k < kinds; k++ {
		if s := schemes[k]; s.name == name {
			a := &arguments{text: text, name: name, staleness: staleness}
			if given {
				a.list = strings.Split(args, ",")
			}
			return s.parse(a)
		}
	}
	var usages []string
	for _, s := range schemes[unset+1:] {
		usages = append(usages, s.usage)
	}
	last := len(usages) - 1
	return Policy{}, errors.Errorf("policy %q: expected %s or %s", text, strings.Join(usages[:last], ", "), usages[last])
}

// arguments is the text of a policy on its way.
type arguments struct {
	text, name string
	list       []string // behind the colon; nil without one
	staleness  int      // given apart
}

func (a *arguments) fail(format string, args ...any) error {
	return errors.Errorf("policy %q: %s", a.text, fmt.Sprintf(format, args...))
}

// bound takes the staleness: the argument at i, or the one given apart.
func (a *arguments) bound(i int) (int32, error) {
	if i >= len(a.list) {
		if a.staleness < 0 || a.staleness > maxStaleness {
			return 0, errors.Errorf("policy %s with a staleness of %d: expected 0 to %d", a.name, a.staleness, maxStaleness)
		}
		return int32(a.staleness), nil
	}
	s, err := strconv.ParseUint(a.list[i], 10, 31)
	if err != nil || s > maxStaleness {
		return 0, a.fail("staleness %q: expected a number from 0 to %d", a.list[i], maxStaleness)
	}
	if a.staleness > 0 && a.staleness != int(s) {
		return 0, errors.Errorf("policy %s contradicts a staleness of %d", a.text, a.staleness)
	}
	return int32(s), nil
}

// loose reports a staleness that was given apart to a policy without one.
func (a *arguments) loose() error {
	if a.staleness > 0 {
		return errors.Errorf("policy %s contradicts a staleness of %d", a.name, a.staleness)
	}
	return nil
}

// plain reads a policy without arguments.
func plain(k kind) func(*arguments) (Policy, error) {
	return func(a *arguments) (Policy, error) {
		if a.list != nil {
			return Policy{}, a.fail("%s takes no staleness", a.name)
		}
		if err := a.loose(); err != nil {
			return Policy{}, err
		}
		return Policy{kind: k}, nil
	}
}

// bounds reads a policy whose only argument is its staleness.
func bounds(k kind) func(*arguments) (Policy, error) {
	return func(a *arguments) (Policy, error) {
		if len(a.list) > 1 {
			return Policy{}, a.fail("expected one number")
		}
		s, err := a.bound(0)
		if err != nil {
			return Policy{}, err
		}
		return Policy{kind: k, staleness: s}, nil
	}
}

func parseBackup(a *arguments) (Policy, error) {
	if err := a.loose(); err != nil {
		return Policy{}, err
	}
	if len(a.list) != 1 {
		return Policy{}, a.fail("expected the number of backup workers")
	}
	b, err := strconv.ParseUint(a.list[0], 10, 31)
	if err != nil || b > maxStaleness {
		return Policy{}, a.fail("backup workers %q: expected a number from 0 to %d", a.list[0], maxStaleness)
	}
	return Backup(int(b)), nil
}

// dbwRules are the names of the rules.
var dbwRules = [...]string{backup.Gain: "", backup.Blind: "blind", backup.Adaptive: "adasync"}

func parseDBW(a *arguments) (Policy, error) {
	if err := a.loose(); err != nil {
		return Policy{}, err
	}
	if a.list == nil {
		return DBW(), nil
	}
	for rule, name := range dbwRules {
		if len(a.list) == 1 && a.list[0] == name && name != "" {
			return Policy{kind: dbw, number: int32(rule)}, nil
		}
	}
	return Policy{}, a.fail("expected dbw, dbw:blind or dbw:adasync")
}

func staleness(p Policy) string { return strconv.Itoa(int(p.staleness)) }

// ordered: the batches of a clock are applied together, in rank order.
func (p Policy) ordered() bool {
	return p.kind == bsp || p.kind == absp && p.staleness == 0 || p.Drops()
}

// pushes: the first read of a row subscribes to it.
func (p Policy) pushes() bool {
	return p.kind == essp || p.kind == managed || p.kind == fssp || p.kind == auto || p.eager()
}

// tuned: workers choose the slack, up to that of the policy.
func (p Policy) tuned() bool { return p.kind == auto }

// eager: updates leave at the worker's own Clock and are pushed when applied.
func (p Policy) eager() bool { return p.kind == async || p.kind == capped || p.valued() }

// prompt: updates are promised to others as early as may be.
func (p Policy) prompt() bool { return p.kind == capped || p.valued() }

// limited: reads have a bound in clocks.
func (p Policy) limited() bool { return p.kind != async && p.kind != vap }

// unbounded as a slack lets a read use any copy.
const unbounded Clock = 1 << 60

// slack is the bound of reads.
func (p Policy) slack() Clock {
	if !p.limited() {
		return unbounded
	}
	s, _ := p.Staleness()
	return s
}

// fits reports what keeps a table of the policy out of a store whose default is
// another.
func (p Policy) fits(store Policy) error {
	switch {
	case p == store || p.kind == async && !store.Drops():
		return nil
	case p.kind == fssp || store.kind == fssp || p.Drops() || store.Drops():
		return errors.Errorf("policy %v in a store of %v: all tables of a store share such a policy", p, store)
	}
	return nil
}
