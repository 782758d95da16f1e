package collectives

// Option tunes one call.
type Option func(*options)

type options struct {
	inOrder   bool
	counts    []int // nil: not passed
	recv      []int // the same
	algorithm string
}

// InOrder makes results independent of the algorithm, and so of the length of
// the vector and of the installed [Model]: runs of 2^k ranks, aligned to that,
// are combined, always the lower with the upper. For operations that do not
// commute, and for sums of floats that must be reproducible at a number of
// ranks. Scan and Exscan combine in an order of their own.
func InOrder(o *options) { o.inOrder = true }

// Counts gives the block of every rank its own length: in Gather, Allgather,
// Scatter and ReduceScatter; without it all blocks are equally long. All ranks
// pass equal counts, one for each rank, none negative. In Alltoall and
// NeighborAlltoall they are the lengths of the blocks that this rank sends, in
// NeighborAllgather of those that it receives: all ranks pass counts, or none
// does. A rank without such neighbours passes a list of none, which may be nil.
func Counts(counts []int) Option {
	return func(o *options) { o.counts = present(counts) }
}

// RecvCounts are the lengths of the blocks that this rank receives, in Alltoall
// and NeighborAlltoall; without it, those that it sends.
func RecvCounts(counts []int) Option {
	return func(o *options) { o.recv = present(counts) }
}

// present tells a list of none from one that is not passed.
func present(counts []int) []int {
	if counts == nil {
		return []int{}
	}
	return counts
}

// WithAlgorithm has a call use the algorithm of that name, one of [Algorithms],
// instead of the one that the communicator's [Model] chooses. All ranks pass the
// same. An algorithm that does not fit the call (or the number of ranks, or
// [InOrder]) is an error that names those that do.
func WithAlgorithm(name string) Option {
	return func(o *options) { o.algorithm = name }
}

func optionsOf(opts []Option) options {
	o := new(options) // escapes; calls without options do not come here
	for _, set := range opts {
		set(o)
	}
	return *o
}
