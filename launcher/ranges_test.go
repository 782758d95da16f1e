package launcher

import "testing"

func TestBoundText(t *testing.T) {
	for _, tt := range []struct {
		ranks []int
		cores [][]int
		want  string
	}{
		{[]int{0, 1}, [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}}, "rank 0 on cores 0-3, rank 1 on cores 4-7"},
		{[]int{3, 5, 7}, [][]int{{2}, {2}, {4, 6, 7}}, "rank 3 on core 2, rank 5 on core 2, rank 7 on cores 4,6-7"},
		{[]int{0, 1}, [][]int{{1}}, "rank 0 on core 1"}, // the others were not started
		{[]int{0}, [][]int{{1}, {2}}, "rank 0 on core 1"},
	} {
		if got := boundText(tt.ranks, tt.cores); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
