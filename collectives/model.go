package collectives

import (
	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// Model is what algorithms are chosen by: what a message, a byte sent and a byte
// combined cost, and rules that go before. It is encoded as JSON as it is. See
// [Tune] and [Install].
type Model = schedule.Machine

// Link is a part of a Model.
type Link = schedule.Link

// Rule is a part of a Model.
type Rule = schedule.Rule

// DefaultModel is what a communicator starts with: hosts in a data centre, with
// memory that the ranks of a host share.
func DefaultModel() Model {
	return Model{
		Link: Link{Alpha: 15_000, Beta: 0.4}, Local: &Link{Alpha: 3_000, Beta: 0.15}, Gamma: 0.05, Segment: 1 << 20,
	}
}

// Algorithms are the names that WithAlgorithm and rules know, by the name of the
// operation: "allreduce". Not all fit every call: to prepare one with
// [WithAlgorithm] is an error, without a message to other ranks, where it does
// not.
func Algorithms() map[string][]string {
	all := map[string][]string{}
	for v := schedule.Barrier; v <= schedule.Exscan; v++ {
		all[v.String()] = schedule.Names(v)
	}
	return all
}

// Install has calls on the communicator use a model from now on. It is local:
// all ranks install the same, between the same calls. Communicators that are
// made of this one start with the default. Numbers below zero and rules with
// unknown names are an error, and nothing is installed.
func Install(c *runtime.Comm, m Model) error {
	if m.Alpha < 0 || m.Beta < 0 || m.Gamma < 0 || m.Segment < 0 || m.Local != nil && (m.Local.Alpha < 0 || m.Local.Beta < 0) {
		return errors.Errorf("collectives: a model with negative numbers: %+v", m)
	}
	known := Algorithms()
	for i, r := range m.Rules {
		names, ok := known[r.Verb]
		if !ok {
			return errors.Errorf("collectives: rule %d: no operation %q", i+1, r.Verb)
		}
		found := false
		for _, name := range names {
			found = found || name == r.Algorithm
		}
		if !found {
			return errors.Errorf("collectives: rule %d: no algorithm %q of %s; there are %v", i+1, r.Algorithm, r.Verb, names)
		}
	}
	if m.Segment == 0 {
		m.Segment = DefaultModel().Segment
	}
	s := stateOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model, s.plans, s.recent = m, nil, nil
	return nil
}

// Installed is the model that calls on the communicator use.
func Installed(c *runtime.Comm) Model {
	s := stateOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model
}
