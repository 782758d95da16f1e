package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRun runs real go test over a module of its own, in which tests pass,
// fail, skip, panic and do not compile.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                "module m\n\ngo 1.26\n",
		"good/good_test.go":     "package good\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Log(\"quiet\") }\nfunc TestB(t *testing.T) { t.Run(\"x\", func(t *testing.T) { t.Skip(\"needs: a moon\") }) }\n",
		"bad/bad_test.go":       "package bad\nimport \"testing\"\nfunc TestGood(t *testing.T) { t.Log(\"quiet\") }\nfunc TestBad(t *testing.T) { t.Error(\"got 1, want 2\") }\n",
		"wild/wild_test.go":     "package wild\nimport \"testing\"\nfunc TestWild(t *testing.T) { panic(\"boo\") }\n",
		"broken/broken_test.go": "package broken\nfunc (\n",
		"none/none.go":          "package none\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, c := range []struct {
		name       string
		args       []string
		fails      bool
		has, lacks []string
	}{
		{"good", []string{"./good", "./none"}, false,
			[]string{"ok  \tm/good", "no test files", "packages: 1 ok, 0 failed, 1 without tests\n", "tests:    2 passed, 0 failed, 1 skipped\n  skipped m/good TestB/x: needs: a moon\n"},
			[]string{"PASS", "=== RUN", "quiet"}},
		{"verbose", []string{"-v", "./good"}, false, []string{"=== RUN", "quiet", "--- PASS: TestA", "--- SKIP: TestB/x", "tests:    2 passed"}, nil},
		{"bad", []string{"./bad"}, true,
			[]string{"--- FAIL: TestBad", "got 1, want 2", "FAIL\tm/bad", "packages: 0 ok, 1 failed", "tests:    1 passed, 1 failed, 0 skipped"}, []string{"quiet", "=== RUN"}},
		{"panic", []string{"./wild"}, true, []string{"panic: boo", "FAIL\tm/wild", "1 failed"}, nil},
		{"broken", []string{"./broken", "./good"}, true, []string{"ok  \tm/good", "FAIL\tm/broken", "1 did not build"}, nil},
		{"alone", []string{"-alone", "./bad", "./..."}, true, []string{"ok  \tm/good", "FAIL\tm/bad", "packages: 1 ok, 3 failed, 1 without tests"}, nil},
		{"no such package", []string{"./nowhere"}, true, nil, []string{"packages:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), c.args, &out)
			if (err != nil) != c.fails {
				t.Errorf("got error %v, want one: %t", err, c.fails)
			}
			for _, s := range c.has {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q", s)
				}
			}
			for _, s := range c.lacks {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q", s)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out.String())
			}
		})
	}
}

func TestParseArgs(t *testing.T) {
	o, err := parseArgs([]string{"-v", "-race", "-timeout=5m", "-alone", "./x", "./...", "m/y"})
	if err != nil || !o.verbose || !slices.Equal(o.alone, []string{"./x"}) || !slices.Equal(o.flags, []string{"-race", "-timeout=5m"}) || !slices.Equal(o.patterns, []string{"./...", "m/y"}) {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range [][]string{nil, {"-v"}, {"./...", "-alone"}} {
		if _, err := parseArgs(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
