// Package agent is the per-host end of a launch. An agent speaks with the
// launcher over its standard input and output, in frames (see Kind), starts
// the ranks of its host in process groups of their own, and carries their
// output, input, signals and control channels. Whatever ends its channel ends
// the ranks.
//
// A host runs two processes: the keeper, which is what the launcher starts,
// and its child, the agent. Each kills the ranks when the other one dies.
// Output moves only against credits and control frames overtake it, so that
// no flood of output delays the end of a job.
package agent
