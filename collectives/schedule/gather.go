package schedule

// GatherBinomial brings Input of all ranks to Output of the root, in rank
// order, along a binomial tree: few messages, but blocks travel several times.
// Rank 0 as the root receives in place.
func GatherBinomial(rank, size, root int, counts []int) Schedule {
	s := Schedule{Name: "binomial"}
	v := (rank - root + size) % size
	off := treeOffsets(size, root, counts)
	in := Range{Input, 0, counts[rank]}
	if size == 1 {
		s.local(copyStep(Range{Output, 0, in.Len}, in))
		return s
	}
	buf := Scratch
	if rank == 0 && root == 0 {
		buf = Output
	}
	span := func(from, to int) Range {
		return Range{buf, off[from] - off[v], off[min(to, size)] - off[from]}
	}
	held := v + 1 // blocks v..held-1 are here
	for mask := 1; mask < size; mask *= 2 {
		if v&mask != 0 {
			src := in
			if held > v+1 {
				src = span(v, held)
			}
			s.net(send((v-mask+root)%size, src))
			return s
		}
		if v+mask < size {
			if held == v+1 {
				s.local(copyStep(span(v, v+1), in))
			}
			s.net(recv((v+mask+root)%size, span(v+mask, v+2*mask)))
			held = min(v+2*mask, size)
			if buf == Scratch {
				s.Scratch = off[held] - off[v]
			}
		}
	}
	if buf == Output {
		return s
	}
	to := offsets(counts)
	for u := range size {
		r := (u + root) % size
		s.local(copyStep(Range{Output, to[r], counts[r]}, span(u, u+1)))
	}
	return s
}

// GatherLinear brings Input of all ranks to Output of the root directly: every
// block travels once.
func GatherLinear(rank, size, root int, counts []int) Schedule {
	s := Schedule{Name: "linear"}
	in := Range{Input, 0, counts[rank]}
	if rank != root {
		s.net(send(root, in))
		return s
	}
	off := offsets(counts)
	s.local(copyStep(Range{Output, off[root], in.Len}, in))
	var steps []Step
	for r := range size {
		if r != root {
			steps = append(steps, recv(r, Range{Output, off[r], counts[r]}))
		}
	}
	if len(steps) > 0 {
		s.net(steps...)
	}
	return s
}

// ScatterBinomial brings block r of the root's Input to Output of rank r along
// a binomial tree. Rank 0 as the root sends in place.
func ScatterBinomial(rank, size, root int, counts []int) Schedule {
	s := Schedule{Name: "binomial"}
	v := (rank - root + size) % size
	off := treeOffsets(size, root, counts)
	out := Range{Output, 0, counts[rank]}
	from := offsets(counts)
	if size == 1 {
		s.local(copyStep(out, Range{Input, 0, counts[0]}))
		return s
	}
	buf := Scratch
	if rank == 0 && root == 0 {
		buf = Input
	}
	span := func(a, b int) Range {
		return Range{buf, off[a] - off[v], off[min(b, size)] - off[a]}
	}
	mask := 1
	for ; mask < size && v&mask == 0; mask *= 2 {
	}
	switch {
	case buf == Input:
	case v == 0:
		s.Scratch = off[size]
		for u := range size {
			r := (u + root) % size
			s.local(copyStep(span(u, u+1), Range{Input, from[r], counts[r]}))
		}
	default:
		dst := span(v, v+mask)
		if v+1 == size || mask == 1 {
			dst = out
		} else {
			s.Scratch = dst.Len
		}
		s.net(recv((v-mask+root)%size, dst))
	}
	for m := mask / 2; m > 0; m /= 2 {
		if v+m < size {
			s.net(send((v+m+root)%size, span(v+m, v+2*m)))
		}
	}
	if s.Scratch > 0 || buf == Input {
		s.local(copyStep(out, span(v, v+1)))
	}
	return s
}

// ScatterLinear brings block r of the root's Input to Output of rank r
// directly.
func ScatterLinear(rank, size, root int, counts []int) Schedule {
	s := Schedule{Name: "linear"}
	out := Range{Output, 0, counts[rank]}
	if rank != root {
		s.net(recv(root, out))
		return s
	}
	off := offsets(counts)
	var steps []Step
	for r := range size {
		if r != root {
			steps = append(steps, send(r, Range{Input, off[r], counts[r]}))
		}
	}
	if len(steps) > 0 {
		s.net(steps...)
	}
	// Output may be Input: its own block is moved when all others have left.
	s.local(copyStep(out, Range{Input, off[root], out.Len}))
	return s
}

// treeOffsets returns where the blocks begin when they lie in the order first,
// first+1, ... around, and the end.
func treeOffsets(size, first int, counts []int) []int {
	off := make([]int, size+1)
	for u := range size {
		off[u+1] = off[u] + counts[(u+first)%size]
	}
	return off
}
