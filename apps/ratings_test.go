package apps

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestReadRatings(t *testing.T) {
	want := Ratings{Row: []int32{1, 1, 30}, Col: []int32{2, 3, 0}, Value: []float32{5, 2.5, -1}}
	for name, text := range map[string]string{
		"blanks":   "1 2 5\n1 3 2.5\n30 0 -1\n",
		"tabs":     "1\t2\t5\n1\t3\t2.5\n30\t0\t-1",
		"commas":   "user,item,rating\n1,2,5\n1,3,25e-1\n30,0,-1.0\n",
		"quoted":   "\"u\";\"i\";\"r\"\n1;2;5;x\n1;3;2.5;y\n30;0;-1;z\n",
		"times":    "1::2::5::978300760\n1::3::2.5::978302109\n30::0::-1::3\n",
		"comments": "% rows cols\n# more\n\n  1  2  5\r\n1 3 2.5\n\n30 0 -1\n",
	} {
		for _, form := range forms {
			path := write(t, "ratings", pack(t, form, []byte(text)))
			for _, parts := range []int{1, 2, 3, 5, 8, 100} { // the last: more than bytes
				var got Ratings
				for i := range parts {
					if err := ReadRatings(path, Part{i, parts}, RatingsFormat{}, &got); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s, %d parts: %v, want %v", name, form, parts, got, want)
				}
			}
		}
	}
}

func TestReadRatingsTransforms(t *testing.T) {
	path := write(t, "counts", []byte("1 1 1\n1 2 20\n"))
	var got Ratings
	if err := ReadRatings(path, Part{}, RatingsFormat{Log: true, Symmetric: true}, &got); err != nil {
		t.Fatal(err)
	}
	x := float32(math.Log(20))
	want := Ratings{Row: []int32{1, 1, 2}, Col: []int32{1, 2, 1}, Value: []float32{0, x, x}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReadRatingsFaults(t *testing.T) {
	for _, x := range []struct {
		line   string
		format RatingsFormat
		want   string
	}{
		{"1 2", RatingsFormat{}, `expected "user item rating"`},
		{"one 2 3", RatingsFormat{}, "whole numbers"},
		{"-1 2 3", RatingsFormat{}, "whole numbers"},
		{"1 2.5 3", RatingsFormat{}, "whole numbers"},
		{"1 268435456 3", RatingsFormat{}, "up to 268435455"},
		{"1 99999999999999999999 3", RatingsFormat{}, "up to 268435455"},
		{"1 2 good", RatingsFormat{}, "number as the third"},
		{"1 2 nan", RatingsFormat{}, "number as the third"},
		{"1 2 1e99", RatingsFormat{}, "number as the third"},
		{"1 2 0x10", RatingsFormat{}, "number as the third"},
		{"1 2 0", RatingsFormat{Log: true}, "above 0"},
		{strings.Repeat("z", 100), RatingsFormat{}, `"...`},
	} {
		path := write(t, "ratings", []byte("1 2 3\n1 2 3\n"+x.line+"\n1 2 3\n"))
		err := ReadRatings(path, Part{}, x.format, &Ratings{})
		if err == nil || !strings.HasPrefix(err.Error(), path+":3: ") || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: error %v, want one for line 3 that says %s", x.line, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: an error of several lines: %v", x.line, err)
		}
	}
}

func FuzzParseRating(f *testing.F) {
	for _, s := range []string{"1 2 3", "0,0,1e-3", "7::8::9::10", "1\t2\t-.5", "x y z", "1 2 1_0", " 1 2 +3 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		row, col, value, err := parseRating(text)
		if err != nil {
			return
		}
		if row < 0 || col < 0 || row > maxID || col > maxID || math.IsNaN(value) || math.Abs(value) > math.MaxFloat32 {
			t.Fatalf("%q: %d %d %g", text, row, col, value)
		}
		again := fmt.Sprintf("%d %d %v", row, col, value)
		r, c, v, err := parseRating([]byte(again))
		if err != nil || r != row || c != col || v != value {
			t.Fatalf("%q reads as %q, and that as %d %d %g, %v", text, again, r, c, v, err)
		}
	})
}

func BenchmarkParseRating(b *testing.B) {
	line := []byte("12345\t6789\t7.5")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := parseRating(line); err != nil {
			b.Fatal(err)
		}
	}
}
