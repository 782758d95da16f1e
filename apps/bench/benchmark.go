package main

import (
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// benchmark is an operation that can be measured. To add one, add it to a table.
type benchmark struct {
	name  string
	text  string // what a sample is
	ranks int    // that it needs at least
	unit  int    // bytes come in multiples of it; 0: of 1, and there may be none
	sizes []int  // bytes, unless -sizes says others
	fixed bool   // -sizes does not matter

	// start prepares the operation on every rank. It is collective.
	start func(ctx context.Context, e env) (*trial, error)
}

// benchmarks are all there are, in the order of help and of patterns.
var benchmarks = slices.Concat(messages, collective, windows, stores)

// env is where a trial takes place.
type env struct {
	*runtime.Comm
	size int // bytes
}

// trial is a benchmark at one size, on one rank.
type trial struct {
	before func(ctx context.Context) error // each sample, on its ranks, outside its time; may be nil
	once   func(ctx context.Context) error // is timed; nil on ranks that do nothing
	check  func(ctx context.Context) error // after at least one sample: what came is right; may be nil
	close  func(ctx context.Context) error // collective; may be nil

	slowest bool // a sample is the time of the slowest rank; else of rank 0
	per     int  // operations in a sample; 0: 1
	flow    int  // bytes that an operation moves
}

// together is a trial of what all ranks do at once, after a barrier.
func (e env) together(once func(ctx context.Context) error, check func() error) *trial {
	return &trial{
		before:  func(ctx context.Context) error { return collectives.Barrier(ctx, e.Comm) },
		once:    once,
		check:   func(context.Context) error { return check() },
		slowest: true,
		flow:    e.size,
	}
}

// everyRank is a number of ranks for which there is every benchmark.
const everyRank = math.MaxInt

// choose returns the benchmarks that names and patterns between commas mean, each
// once. A name that so many ranks can not do is an error, a pattern passes it over.
func choose(all []benchmark, names string, ranks int) ([]benchmark, error) {
	var chosen []benchmark
	for name := range strings.SplitSeq(names, ",") {
		found, few := false, 0
		for _, b := range all {
			match, err := path.Match(name, b.name)
			if err != nil {
				return nil, errors.Errorf("-op %q: not a pattern", name)
			}
			switch {
			case !match:
			case b.ranks > ranks:
				few = b.ranks
			default:
				found = true
				if !slices.ContainsFunc(chosen, func(c benchmark) bool { return c.name == b.name }) {
					chosen = append(chosen, b)
				}
			}
		}
		switch {
		case !found && few > 0:
			return nil, errors.Errorf("-op %s needs %d ranks: sspurn -n %d bench -op %s", name, few, few, name)
		case !found:
			return nil, errors.Errorf("-op %q: there are %s", name, nameList(all))
		}
	}
	return chosen, nil
}

func nameList(all []benchmark) string {
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.name
	}
	return strings.Join(names, ", ")
}

// operations describes all benchmarks, for help.
func operations() string {
	var b strings.Builder
	for _, m := range benchmarks {
		fmt.Fprintf(&b, "  %-18s %s\n", m.name, m.text)
	}
	return b.String()
}
