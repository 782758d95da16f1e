package apps

// Mix is one output of the SplitMix64 generator (Steele, Lea, Flood: Fast
// Splittable Pseudorandom Number Generators, OOPSLA 2014) whose state is x: a
// hash that spreads neighbouring numbers over all of 64 bits. Apps take their
// splits, initial values and shuffles from it, so that these depend on numbers
// that the data fixes and not on the number of ranks.
func Mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Held reports whether the entry (row, col), numbered as in its file, belongs
// to the test part: one in ten, the same ones in every run.
func Held(row, col int32) bool {
	return Mix(uint64(uint32(row))<<32|uint64(uint32(col)))%10 == 0
}

// Uniform returns the number in [0, 1) that belongs to a seed, a stream and a
// place in it.
func Uniform(seed, stream, place uint64) float64 {
	return float64(Mix(Mix(Mix(seed)^stream)^place)>>11) * 0x1p-53
}
