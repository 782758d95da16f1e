package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A full disk costs records of a comparison, not its runs: that is said once, and
// the tables are of what was seen.
func TestCompareOnFullDisk(t *testing.T) {
	for name, size := range map[string]int{"for nothing": 4 << 10, "for a part": 24 << 10, "for more": 40 << 10} {
		t.Run("room "+name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			l := startOnSmallDisk(t, dir, t.TempDir(), size, "compare", "-n", "2", "-sync", "bsp,ssp:3", "-repeat", "2", "-target", "2", "-trace", "t.json", "-run-dir", out, "RANK", "learn", "1.5")
			l.expect(0)
			e, o := l.stderr.String(), l.stdout.String()
			if strings.Count(e, " is incomplete: ") != 1 || strings.Count(e, "sspurn: no trace ") > 1 {
				t.Errorf("said more than once that something is incomplete:\n%s", e)
			}
			if strings.Count(e, "rmse 1.5833") != 4 {
				t.Errorf("not all runs were made:\n%s", e)
			}
			for _, want := range []string{"s to 2 ", "bsp 2 0.500 1 1.5833 ", "ssp:3 2 0.500 1 1.5833 ", "the record is incomplete: ", "what was seen while it ran is here"} {
				if !strings.Contains(strings.Join(strings.Fields(o), " "), want) {
					t.Errorf("no %q in\n%s", want, o)
				}
			}
			err := filepath.WalkDir(dir+".copy", func(path string, _ fs.DirEntry, err error) error {
				if strings.HasSuffix(path, ".new") {
					t.Errorf("%s is left", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
