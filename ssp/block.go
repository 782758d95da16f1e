package ssp

import "strconv"

// ABSP is arbitrarily sized BSP: k iterations, each ended with Clock, to a
// barrier. It is WPC(k, 0), and panics unless 1 <= k <= 2³⁰.
func ABSP(k int) Policy { return WPC(k, 0) }

// WPC is the family {work per clock k, slack s} of Cui et al. (Exploiting bounded
// staleness to speed up big data analytics, USENIX ATC 2014): a block of k
// iterations is what a clock is to SSP(s). A worker still ends each iteration with
// Clock; its updates of a block coalesce and leave at the block's end, and a read
// in block b sees at least all updates of blocks before b−s. Blocks are counted
// from clock 0: block b is the clocks from k·b to k·(b+1)−1. With s = 0 updates
// are applied as under BSP, and results repeat bit for bit.
//
// Close and Sync hand over what the running block has so far, with the block's
// timestamp. Who reads with a slack of his own, in clocks, gets a copy of the
// start of a block. WPC panics unless 1 <= k, 0 <= s and k·(s+1) <= 2³⁰.
func WPC(k, s int) Policy {
	if k < 1 || s < 0 || k > maxStaleness || int64(k)*(int64(s)+1) > maxStaleness {
		panic("ssp: blocks of " + strconv.Itoa(k) + " clocks with a slack of " + strconv.Itoa(s))
	}
	return Policy{kind: absp, block: int32(k), staleness: int32(s)}
}

// Block returns how many clocks leave together: k under WPC and ABSP, else 1.
func (p Policy) Block() Clock { return max(1, Clock(p.block)) }

// start is the first clock of the block that c lies in, last its last one, which
// is the timestamp of its updates.
func (p Policy) start(c Clock) Clock {
	if p.block > 1 {
		return c - c%Clock(p.block)
	}
	return c
}

func (p Policy) last(c Clock) Clock { return p.start(c) + p.Block() - 1 }

// Window says what a read at clock c finds of another worker in one epoch: all
// its updates of clocks before low, and none of clock high or a later one. ok is
// false for a policy without such a bound.
func (p Policy) Window(c Clock) (low, high Clock, ok bool) {
	if !p.limited() {
		return 0, unbounded, false
	}
	low = p.oldest(c)
	if p.ordered() {
		return low, low, true
	}
	return low, p.start(c) + p.Block()*(Clock(p.staleness)+1), true
}

// oldest is the least age that a read at clock c may use: it is not positive for
// all c below some clock.
func (p Policy) oldest(c Clock) Clock {
	if !p.limited() {
		return 0
	}
	return max(0, p.start(c)-p.Block()*Clock(p.staleness))
}

// blocks reads K or K,S.
func blocks(a *arguments) (Policy, error) {
	if len(a.list) < 1 || len(a.list) > 2 {
		return Policy{}, a.fail("expected absp:K or absp:K,S, with K iterations to a clock")
	}
	k, err := strconv.ParseUint(a.list[0], 10, 31)
	if err != nil || k < 1 || k > maxStaleness {
		return Policy{}, a.fail("block %q: expected a number from 1 to %d", a.list[0], maxStaleness)
	}
	s := int32(0)
	if len(a.list) == 2 || a.staleness > 0 {
		if s, err = a.bound(1); err != nil {
			return Policy{}, err
		}
	}
	if int64(k)*(int64(s)+1) > maxStaleness {
		return Policy{}, a.fail("more than %d clocks", maxStaleness)
	}
	return WPC(int(k), int(s)), nil
}

func blockArgs(p Policy) string {
	text := strconv.Itoa(int(p.block))
	if p.staleness > 0 {
		text += "," + strconv.Itoa(int(p.staleness))
	}
	return text
}
