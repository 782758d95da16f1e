package linalg

// SetVectors has the functions use the kernels, where they can be used, or not,
// and returns what they did before.
func SetVectors(on bool) bool {
	was := vectors
	vectors = on
	return was
}
