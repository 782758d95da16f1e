package agent

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"testing"
)

// TestDivide: runs that are as even as possible use every core once; with fewer
// cores than ranks, neighbours share one.
func TestDivide(t *testing.T) {
	for _, c := range []int{1, 2, 3, 4, 6, 64} {
		var cores []int
		for i := range c {
			cores = append(cores, 3*i+i%2+1000*(i/8)) // with gaps
		}
		for _, n := range []int{1, 2, 3, 5, 8, 64, 65} {
			shares := divide(cores, n)
			if len(shares) != n {
				t.Fatalf("%d cores, %d ranks: %d shares", c, n, len(shares))
			}
			least, most := c, 0
			for i, share := range shares {
				least, most = min(least, len(share)), max(most, len(share))
				if c < n && !slices.Equal(share, []int{cores[i*c/n]}) {
					t.Errorf("%d cores, %d ranks: rank %d on %v of %v", c, n, i, share, cores)
				}
			}
			used := slices.Compact(slices.Concat(shares...))
			if !slices.Equal(used, cores) || c >= n && (least < c/n || most > (c+n-1)/n || len(slices.Concat(shares...)) != c) {
				t.Errorf("%d cores, %d ranks: %v of %v", c, n, shares, cores)
			}
		}
	}
	for _, test := range []struct {
		cores []int
		n     int
		want  [][]int
	}{
		{[]int{0, 1, 2, 3, 4, 5, 6, 7}, 2, [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}}},
		{[]int{1, 2, 5, 9, 12}, 3, [][]int{{1}, {2, 5}, {9, 12}}},
		{[]int{4, 7}, 5, [][]int{{4}, {4}, {4}, {7}, {7}}},
		{[]int{70000}, 2, [][]int{{70000}, {70000}}},
	} {
		if got := divide(test.cores, test.n); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v, %d ranks: %v, want %v", test.cores, test.n, got, test.want)
		}
	}
}

// TestBindOnTheWire: what travels of the binding arrives, and without it nothing
// is said of it.
func TestBindOnTheWire(t *testing.T) {
	o := NewOutbox()
	hellos := []HelloInfo{{NoBind: "-bind core: not on darwin"}, {}}
	starts := []StartInfo{{Ranks: []int{3, 4}, Bind: true}, {Ranks: []int{0}}}
	answers := []StartedInfo{{Pids: []int{7, 8}, Cores: [][]int{{0, 1, 2000}, {4}}}, {Pids: []int{7}}}
	for i := range 2 {
		o.SendJSON(Hello, 0, hellos[i])
		o.SendJSON(Start, 0, starts[i])
		o.SendJSON(Started, 0, answers[i])
	}
	o.Close()
	var wire bytes.Buffer
	if err := o.Write(&wire); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no_bind", `"bind"`, `"cores":[`} {
		if got := bytes.Count(wire.Bytes(), []byte(name)); got != 1 {
			t.Errorf("%d times %s", got, name)
		}
	}
	in := NewFrameReader(&wire)
	for i := range 2 {
		var hello HelloInfo
		var start StartInfo
		var started StartedInfo
		for _, v := range []any{&hello, &start, &started} {
			f, err := in.Read()
			if err == nil {
				err = f.Decode(v)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		got, want := []any{hello, start, started}, []any{hellos[i], starts[i], answers[i]}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, err := in.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}
