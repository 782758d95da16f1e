package report

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// Formats are what WriteFile makes, by name.
func Formats() []string { return []string{"html", "png", "svg", "csv", "json"} }

// WriteFile writes the report in a format: one file, or for csv a directory with
// a file for each table. A reader sees the old or the new file, never a part.
func (r *Report) WriteFile(path, format string) error {
	if format == "csv" {
		return r.writeCSV(path)
	}
	var b bytes.Buffer
	if err := r.Write(&b, format); err != nil {
		return err
	}
	return replace(path, b.Bytes())
}

// Write writes the report to w in a format other than csv.
func (r *Report) Write(w io.Writer, format string) error {
	if len(r.Charts) == 0 && (format == "png" || format == "svg") {
		return errors.New("the runs have recorded nothing to draw")
	}
	switch format {
	case "html":
		return r.Page(w, Live{})
	case "png":
		return r.PNG(w)
	case "svg":
		return r.SVG(w)
	case "json":
		return r.JSON(w)
	}
	return errors.Errorf("format %q: want %s", format, strings.Join(Formats(), ", "))
}

// replace puts a file in the place of another, of which no part is left when that
// fails.
func replace(path string, data []byte) error {
	err := os.WriteFile(path+".new", data, 0o666)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		_ = os.Remove(path + ".new") // what is there of it, if anything
	}
	return errors.Wrap(err, "write")
}

// writeCSV writes a file for each table that has rows, and removes those of
// tables that have none now.
func (r *Report) writeCSV(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "write")
	}
	for _, t := range r.Tables {
		path := filepath.Join(dir, t.ID+".csv")
		if len(t.Rows) == 0 {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return errors.Wrap(err, "write")
			}
			continue
		}
		var b bytes.Buffer
		if err := t.CSV(&b); err != nil {
			return err
		}
		if err := replace(path, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// FormatOf returns the format that a file's name says, in letters of either
// case; "" for none.
func FormatOf(path string) string {
	ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
	if ext == "htm" {
		ext = "html"
	}
	if slices.Contains(Formats(), ext) {
		return ext
	}
	return ""
}
