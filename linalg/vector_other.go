//go:build !amd64 || noasm || race

package linalg

// vectors says whether there are kernels that can be used.
var vectors = false

// The vector functions do the first elements of a vector, and return how many
// that is: here none.

func addVector[T Number](dst, a, b []T) int            { return 0 }
func axpyVector[T Number](dst []T, alpha T, x []T) int { return 0 }
func dotVector[T Number](sums *[lanes]T, x, y []T) int { return 0 }
func factorVector[T Float](w, h []T, step, keep T) int { return 0 }
