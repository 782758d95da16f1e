package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	stderrors "errors"

	"github.com/sspurn/sspurn/apps/lda/model"
	"github.com/sspurn/sspurn/scripts/demo/corpus"
)

// planted returns a corpus of three packages and a model with six topics, two
// of them at home in each package, or none in any.
func planted(home bool) (*model.Model, *corpus.Corpus) {
	rng := rand.New(rand.NewPCG(1, 1))
	m, c := &model.Model{Topics: 6}, &corpus.Corpus{}
	for i := range 600 {
		p := i % 3
		c.Files = append(c.Files, []string{"net/http/a.go", "sync/b.go", "go/ast/c.go"}[p])
		k := int32(rng.IntN(6))
		if home {
			k = int32(2*p + rng.IntN(2))
		}
		m.Docs = append(m.Docs, model.Document{Number: int32(i + 1), Topics: []model.Count{{Topic: k, N: 9}, {Topic: (k + 1) % 6, N: 1}}})
	}
	return m, c
}

func TestAgreement(t *testing.T) {
	if real, shuffled := agreement(planted(true)); real < 0.7 || shuffled > 0.05 {
		t.Errorf("topics at home: %g, shuffled %g", real, shuffled)
	}
	if real, _ := agreement(planted(false)); real > 0.05 {
		t.Errorf("topics anywhere: %g, want near 0", real)
	}
}

// The demo fails when its topics say as little of the packages as chance.
func TestTopicsAreJudged(t *testing.T) {
	for _, home := range []bool{true, false} {
		m, c := planted(home)
		var out bytes.Buffer
		d := &demo{out: t.TempDir(), w: &out}
		if err := os.MkdirAll(d.runDir("bsp"), 0o777); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(d.modelFile("bsp"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stderrors.Join(m.Write(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		if enough, err := d.topicsOf(c, "bsp"); enough != home || err != nil {
			t.Errorf("topics at home %v: enough %v (%v)\n%s", home, enough, err, out.String())
		}
	}
}

func TestStrongestPackages(t *testing.T) {
	list := strongest(planted(true))
	if len(list) != 6 || !slices.IsSortedFunc(list, func(a, b found) int {
		if a.share > b.share {
			return -1
		}
		return 1
	}) {
		t.Fatalf("got %+v", list)
	}
	for _, f := range list {
		if want := []string{"net/http", "sync", "go/ast"}[f.topic/2]; f.packages[0] != want {
			t.Errorf("topic %d is strongest in %v, want %s first", f.topic, f.packages, want)
		}
	}
}

func TestErrorsHelp(t *testing.T) {
	bin := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no programs", []string{"-bin", filepath.Join(bin, "absent")}, "make build"},
		{"no sources", []string{"-bin", bin, "-src", filepath.Join(bin, "absent")}, "golang-src"},
		{"no Go files", []string{"-bin", bin, "-src", bin}, "no Go files"},
	} {
		if c.name != "no programs" {
			for _, name := range []string{"sspurn", "lda"} {
				if err := os.WriteFile(filepath.Join(bin, name), nil, 0o777); err != nil {
					t.Fatal(err)
				}
			}
		}
		var out, errs bytes.Buffer
		if code := run(append(c.args, "-out", t.TempDir()), &out, &errs); code != 1 {
			t.Errorf("%s: exit status %d, want 1", c.name, code)
		}
		if text := errs.String(); !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %q, want one line with %q", c.name, text, c.want)
		}
	}
}
