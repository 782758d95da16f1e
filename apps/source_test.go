package apps

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// pack returns text as the named form of file holds it.
func pack(t testing.TB, form string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch form {
	case "plain":
		return text
	case "gzip":
		w := gzip.NewWriter(&b)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	case "zstd":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("unknown form %q", form)
	}
	return b.Bytes()
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

var forms = []string{"plain", "gzip", "zstd"}

// readParts reads all parts of a file and returns their lines.
func readParts(path string, parts int) ([][]string, error) {
	out := make([][]string, parts)
	for i := range parts {
		err := ReadLines(path, Part{i, parts}, func(text []byte) error {
			out[i] = append(out[i], string(text))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestPartsAreTheFile(t *testing.T) {
	var big strings.Builder
	for i := range 24000 { // more than two blocks
		fmt.Fprintf(&big, "%d a line of some length\n", i)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"one line":       "a\n",
		"no end of line": "a\nbb\nccc",
		"blank lines":    "\n\n\na\n\n",
		"windows":        "a\r\nb\r\n",
		"one long line":  strings.Repeat("x", 200000) + "\ny\n",
		"big":            big.String(),
	} {
		want := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		for _, form := range forms {
			path := write(t, "file", pack(t, form, []byte(text)))
			for _, parts := range []int{1, 2, 3, 5, 8} {
				got, err := readParts(path, parts)
				if err != nil {
					t.Fatalf("%s, %s: %v", name, form, err)
				}
				all := slices.Concat(got...)
				if form != "plain" { // dealt out by blocks
					slices.Sort(all)
					want = slices.Sorted(slices.Values(want))
				}
				if !slices.Equal(all, want) {
					t.Errorf("%s, %s, %d parts: %d lines, want %d, or different ones", name, form, parts, len(all), len(want))
				}
				if name == "big" && parts == 3 {
					for i, p := range got {
						if len(p) < 4000 {
							t.Errorf("%s: part %d of 3 has %d of 24000 lines", form, i, len(p))
						}
					}
				}
			}
		}
	}
}

func TestFaultNamesTheLine(t *testing.T) {
	var text strings.Builder
	for i := 1; i <= 20000; i++ {
		fmt.Fprintf(&text, "%d\n", i)
	}
	bad := errors.New("expected something else")
	for _, form := range forms {
		path := write(t, "file", pack(t, form, []byte(text.String())))
		for _, line := range []int{1, 2, 12345, 19999, 20000} {
			found := 0
			for i := range 3 {
				err := ReadLines(path, Part{i, 3}, func(text []byte) error {
					if string(text) == fmt.Sprint(line) {
						return bad
					}
					return nil
				})
				if err == nil {
					continue
				}
				found++
				if want := fmt.Sprintf("%s:%d: %v", path, line, bad); err.Error() != want || !errors.Is(err, bad) {
					t.Errorf("%s, part %d: %v, want %s", form, i, err, want)
				}
			}
			if found != 1 {
				t.Errorf("%s: line %d was met by %d parts", form, line, found)
			}
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	text := []byte(strings.Repeat("0123456789\n", 30000))
	gz, zst := pack(t, "gzip", text), pack(t, "zstd", text)
	for name, x := range map[string]struct{ path, want string }{
		"missing":        {filepath.Join(t.TempDir(), "absent"), "no such file"},
		"folder":         {t.TempDir(), "directory"},
		"cut gzip":       {write(t, "a", gz[:len(gz)/2]), "EOF"},
		"cut zstd":       {write(t, "b", zst[:len(zst)-9]), "EOF"},
		"only a header":  {write(t, "c", []byte{0x1f, 0x8b}), "EOF"},
		"line too long":  {write(t, "d", bytes.Repeat([]byte("x"), maxLine+2)), "longer than"},
		"damaged middle": {write(t, "e", slices.Concat(zst[:20], []byte("garbage"), zst[27:])), ""},
	} {
		_, err := readParts(x.path, 2)
		var bad *InputError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), x.path) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, want an InputError that names the file and says %q", name, err, x.want)
		}
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte("a\nb\nc\n"), uint8(2))
	f.Add([]byte("\n\r\n\r"), uint8(3))
	f.Add([]byte{0x1f, 0x8b, 8}, uint8(1))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, parts uint8) {
		n := int(parts%9) + 1
		read := func(part Part) (lines []string, err error) {
			s, err := newSource("file", bytes.NewReader(text), int64(len(text)))
			if err != nil {
				return nil, err
			}
			defer s.Close()
			err = s.lines(part, func(text []byte) error {
				lines = append(lines, string(text))
				return nil
			})
			return lines, err
		}
		want, err := read(Part{})
		if err != nil {
			return
		}
		var all []string
		for i := range n {
			got, err := read(Part{i, n})
			if err != nil {
				t.Fatalf("part %d of %d: %v, the whole is good", i, n, err)
			}
			all = append(all, got...)
		}
		slices.Sort(all)
		slices.Sort(want)
		if !slices.Equal(all, want) {
			t.Fatalf("%d parts: %q, want %q", n, all, want)
		}
	})
}
