package transport

import (
	"slices"
	"testing"
)

// TestTree checks that the tree joins all ranks, without a cycle.
func TestTree(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 6, 8, 21, 64, 65, 1024} {
		edges := 0
		seen := []int{0}
		for i := 0; i < len(seen); i++ {
			for _, peer := range AppendTree(nil, seen[i], size) {
				if !InTree(seen[i], peer) || !InTree(peer, seen[i]) || peer < 0 || peer >= size {
					t.Fatalf("size %d: %d and %d are neighbours of one side only", size, seen[i], peer)
				}
				edges++
				if !slices.Contains(seen, peer) {
					seen = append(seen, peer)
				}
			}
		}
		if len(seen) != size || edges != 2*(size-1) {
			t.Errorf("size %d: %d ranks reached over %d ends of edges", size, len(seen), edges)
		}
		if size <= 65 {
			for a := range size {
				for b := range size {
					if InTree(a, b) != slices.Contains(AppendTree(nil, a, size), b) {
						t.Errorf("size %d: InTree(%d, %d) = %v", size, a, b, InTree(a, b))
					}
				}
			}
		}
	}
}
