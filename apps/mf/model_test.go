package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/apps"
)

func exampleModel() *model {
	m := newModel(3, 4, 5, 7.25)
	for u := range int32(4) {
		if u == 2 {
			continue
		}
		row := make([]float32, 4)
		for k := range row {
			row[k] = float32(apps.Uniform(1, uint64(u), uint64(k))) - 0.5
		}
		m.setUsers([]int32{u}, row)
	}
	for i := range int32(4) {
		m.setItem(i, []float32{0.1, -1e-20, 3e20, float32(i)})
	}
	return m
}

func TestModelRoundTrip(t *testing.T) {
	m := exampleModel()
	path := filepath.Join(t.TempDir(), "model")
	if err := apps.WriteFile(path, m.write); err != nil {
		t.Fatal(err)
	}
	got, err := readModel(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("got  %+v\nwant %+v", got, m)
	}
	for _, x := range []struct{ user, item int32 }{{2, 0}, {0, 4}, {4, 0}, {0, 5}} {
		if v := got.predict(x.user, x.item); v != m.base {
			t.Errorf("%+v, unknown: %g, want the mean", x, v)
		}
	}
}

func TestModelPredictsWithBiases(t *testing.T) {
	m := newModel(2, 1, 1, 5)
	m.setUsers([]int32{0}, []float32{1, 2, 0.5})
	m.setItem(0, []float32{3, 4, 0.25})
	if got, want := m.predict(0, 0), float32(5+0.5+0.25+1*3+2*4); got != want {
		t.Errorf("got %g, want %g", got, want)
	}
}

func TestModelFaults(t *testing.T) {
	var b bytes.Buffer
	if err := exampleModel().write(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	lines := strings.SplitAfter(good, "\n")
	for name, x := range map[string]struct{ text, want string }{
		"empty":           {"", "ends after"},
		"cut":             {strings.Join(lines[:8], ""), "ends after"},
		"other loss":      {strings.Replace(good, "f 0", "f 5", 1), ":1: expected"},
		"no model":        {"user,item\n1,2\n", ":1: expected"},
		"huge rank":       {strings.Replace(good, "k 5", "k 999999999", 1), ":4: expected"},
		"row out of turn": {strings.Replace(good, "p1 ", "p3 ", 1), `:7: expected "p1"`},
		"short row":       {strings.Replace(good, "p1 T ", "p1 T", 1), ":7: expected"},
		"too long":        {good + "p9 F\n", "expected the end"},
	} {
		path := filepath.Join(t.TempDir(), "model")
		if err := os.WriteFile(path, []byte(x.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := readModel(path); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, x.want)
		}
	}
}

func FuzzReadModel(f *testing.F) {
	var b bytes.Buffer
	if err := exampleModel().write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("f 0\nm 1\nn 1\nk 1\nb 0\np0 F nan \nq0 T 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := modelReader{}
		for line := range bytes.Lines(text) {
			if r.line(bytes.TrimSuffix(line, []byte{'\n'})) != nil {
				return
			}
		}
		if r.end() != nil {
			return
		}
		if len(r.m.users)+len(r.m.items) > len(text) {
			t.Fatalf("%d numbers from %d bytes", len(r.m.users)+len(r.m.items), len(text))
		}
		var out bytes.Buffer
		if err := r.m.write(&out); err != nil {
			t.Fatal(err)
		}
		again := modelReader{}
		for line := range bytes.Lines(out.Bytes()) {
			if err := again.line(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
				t.Fatal(err)
			}
		}
		if err := again.end(); err != nil {
			t.Fatal(err)
		}
	})
}
