package model

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func sample() *Model {
	return &Model{
		Topics: 3, Alpha: 0.1, Beta: 0.05,
		Words:      []string{"lock", "tls", "the", "never"},
		WordTopics: [][]Count{{{0, 40}, {1, 1}}, {{1, 30}}, {{0, 50}, {1, 50}, {2, 50}}, {}},
		Docs:       []Document{{1, []Count{{0, 3}, {2, 3}}}, {4, []Count{{1, 2}, {2, 9}}}, {5, []Count{}}},
	}
}

func TestModelReadsBack(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, want %+v", got, sample())
	}
	for n := range b.Len() {
		if _, err := Read(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("no error for the first %d of %d bytes", n, b.Len())
		}
	}
}

func TestReadNamesTheLine(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"topics 3", "topics x", "line 2"},
		{"0:40", "3:40", "line 8"},
		{"1 tls", "2 tls", "line 9"},
		{"4 1:2", "0 1:2", "line 13"},
		{"2:9", "2:0", "line 13"},
	} {
		_, err := Read(strings.NewReader(strings.Replace(b.String(), c.from, c.to, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), c.want+":") {
			t.Errorf("%q for %q: error %v, want one of %s", c.to, c.from, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("sspurn-lda 1\ntopics 1\nalpha 1\nbeta 1\nwords 99999999999\ndocuments 0\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := m.Write(&again); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(&again); err != nil {
			t.Fatalf("what was read is not readable when written: %v", err)
		}
		m.Top(3, 0.6)
	})
}

func TestTopRanksByRelevance(t *testing.T) {
	for _, c := range []struct {
		lambda float64
		want   [][]string
	}{
		{1, [][]string{{"the", "lock"}, {"the", "tls"}, {"the"}}},   // frequency
		{0, [][]string{{"lock", "the"}, {"tls", "the"}, {"the"}}},   // lift
		{0.6, [][]string{{"lock", "the"}, {"tls", "the"}, {"the"}}}, // both
	} {
		if got := sample().Top(2, c.lambda); !reflect.DeepEqual(got, c.want) {
			t.Errorf("λ %g: got %v, want %v", c.lambda, got, c.want)
		}
	}
}

func TestStrongest(t *testing.T) {
	want := []int{0, 2, -1}
	for i, d := range sample().Docs {
		if got := d.Strongest(); got != want[i] {
			t.Errorf("document %d: topic %d, want %d", d.Number, got, want[i])
		}
	}
}

func TestNMI(t *testing.T) {
	// By hand: of 4 things a = {2, 2}, b = {1, 3}, both = {1, 1, 2}.
	ha, hb, hab := math.Ln2, math.Log(4)-0.75*math.Log(3), 1.5*math.Ln2
	for _, c := range []struct {
		a, b []int
		want float64
	}{
		{[]int{0, 0, 1, 1}, []int{5, 5, 3, 3}, 1},
		{[]int{0, 0, 1, 1}, []int{0, 1, 0, 1}, 0},
		{[]int{0, 0, 1, 1}, []int{0, 1, 1, 1}, 2 * (ha + hb - hab) / (ha + hb)},
		{[]int{0, 0}, []int{1, 1}, 1},
	} {
		if got := NMI(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v, %v: got %g, want %g", c.a, c.b, got, c.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	a, b := make([]int, 3000), make([]int, 3000)
	for i := range a {
		a[i] = rng.IntN(20)
		b[i] = a[i] / 2
	}
	if got := NMI(a, b); math.Abs(got-NMI(b, a)) > 1e-12 || got < 0.8 {
		t.Errorf("NMI %g, want above 0.8, the same both ways", got)
	}
	c := slices.Clone(b)
	rng.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
	if got := NMI(a, c); got > 0.05 {
		t.Errorf("NMI %g of shuffled labels, want near 0", got)
	}
}
