package apps

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMixKnownValues(t *testing.T) {
	for x, want := range map[uint64]uint64{0: 16294208416658607535, 1<<32 | 1: 2324861979054413167} {
		if got := Mix(x); got != want {
			t.Errorf("Mix(%d) = %d, want %d", x, got, want)
		}
	}
}

func TestHeldIsOneInTen(t *testing.T) {
	held := 0
	for row := range int32(300) {
		for col := range int32(300) {
			if Held(row, col) {
				held++
			}
		}
	}
	if held < 8700 || held > 9300 {
		t.Errorf("%d of 90000 entries held out, want about 9000", held)
	}
}

func TestUniform(t *testing.T) {
	sum, seen := 0.0, map[float64]bool{}
	for i := range uint64(10000) {
		x := Uniform(1, 2, i)
		if x < 0 || x >= 1 || seen[x] {
			t.Fatalf("Uniform(1, 2, %d) = %g: outside [0, 1) or drawn before", i, x)
		}
		seen[x] = true
		sum += x
	}
	if sum < 4900 || sum > 5100 {
		t.Errorf("mean %g, want about 0.5", sum/10000)
	}
	if Uniform(1, 2, 3) == Uniform(1, 3, 2) || Uniform(1, 2, 3) == Uniform(2, 1, 3) {
		t.Error("seed, stream and place are interchangeable")
	}
}

// TestSplitCounts counts the split of real data, in the folder that
// SSPURN_DATA names.
func TestSplitCounts(t *testing.T) {
	dir := os.Getenv("SSPURN_DATA")
	if dir == "" {
		t.Skip("SSPURN_DATA does not name a folder with the data sets")
	}
	for _, x := range []struct {
		file        string
		format      RatingsFormat
		train, test int
	}{
		{"anime-ratings/ratings.tsv.zst", RatingsFormat{}, 378165, 41778},
		{"eltec-cooc/cooc20k.upper.txt.zst", RatingsFormat{Log: true, Symmetric: true}, 2654074, 294610},
	} {
		var r Ratings
		for i := range 3 {
			if err := ReadRatings(filepath.Join(dir, x.file), Part{i, 3}, x.format, &r); err != nil {
				t.Fatal(err)
			}
		}
		test := 0
		for i := range r.Row {
			if Held(r.Row[i], r.Col[i]) {
				test++
			}
		}
		if train := r.Len() - test; train != x.train || test != x.test {
			t.Errorf("%s: %d ratings to train on and %d held out, want %d and %d", x.file, train, test, x.train, x.test)
		}
	}
}
