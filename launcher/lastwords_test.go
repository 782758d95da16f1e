package launcher

import (
	"slices"
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	stack := func(frames int) string {
		text := "\ngoroutine 7 [running]:\n"
		for i := range frames {
			text += "main.f" + string(rune('a'+i)) + "()\n\t/src/main.go:1\n"
		}
		return text
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"blank", "\n \n", nil},
		{"no panic", "a\n\nb\nc\nd\ne\nf", []string{"b", "c", "d", "e", "f"}},
		{"among the last", "a\npanic: boom\n\ngoroutine 7 [running]:\nb\n", []string{"a", "panic: boom", "goroutine 7 [running]:", "b"}},
		{"of a short stack", "x\npanic: boom\n" + stack(2),
			[]string{"panic: boom", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "\t/src/main.go:1"}},
		{"of a long stack", "panic: boom\n" + stack(9) + "exit\n",
			[]string{"panic: boom", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "…",
				"main.fh()", "\t/src/main.go:1", "main.fi()", "\t/src/main.go:1", "exit"}},
		{"of a stack longer than what is kept", "panic: boom\n" + strings.Repeat(stack(9), 50),
			[]string{"panic: boom", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "…",
				"\t/src/main.go:1", "main.fh()", "\t/src/main.go:1", "main.fi()", "\t/src/main.go:1"}},
		{"the last of two", "panic: one\n" + stack(9) + "fatal error: two\n" + stack(2),
			[]string{"fatal error: two", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "\t/src/main.go:1"}},
		{"a panic again", "panic: one [recovered]\n\tpanic: two\n" + stack(2),
			[]string{"panic: one [recovered]", "\tpanic: two", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "\t/src/main.go:1"}},
		{"not at the beginning of a line", "a panic: b\nc\nd\ne\nf\ng\n", []string{"c", "d", "e", "f", "g"}},
		{"without an end", "a\nb\nc\nd\ne\npanic: boom", []string{"b", "c", "d", "e", "panic: boom"}},
		{"longer than a line that is shown", "panic: " + strings.Repeat("é", 3000) + "\n" + stack(2),
			[]string{"panic: " + strings.Repeat("é", (maxCause-len("panic: "))/2) + "…", "goroutine 7 [running]:", "main.fa()", "\t/src/main.go:1", "main.fb()", "\t/src/main.go:1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for size := range len(test.text) + 1 { // of the chunks
				if size > 20 {
					size = len(test.text)
				}
				var w lastWords
				for chunk := range slices.Chunk([]byte(test.text), size+1) {
					w.write(chunk)
				}
				if got := w.lines(); !slices.Equal(got, test.want) {
					t.Fatalf("chunks of %d: got\n%s\nwant\n%s", size+1, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
				if size > 20 {
					break
				}
			}
		})
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add([]byte("panic: a\npanic: b\n\ngoroutine 1 [running]:\nx\ny\nz\n1\n2\n3\n4\n5\n6\n"), 3)
	f.Add([]byte("fatal error: "), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 {
			return
		}
		var whole, parts lastWords
		whole.write(text)
		for chunk := range slices.Chunk(text, size) {
			parts.write(chunk)
		}
		got, want := parts.lines(), whole.lines()
		if !slices.Equal(got, want) {
			t.Errorf("chunks of %d: got %q, want %q", size, got, want)
		}
		if len(got) > 2*tailLines+1 {
			t.Errorf("%d lines", len(got))
		}
	})
}

// BenchmarkLastWords is what a rank's standard error costs here.
func BenchmarkLastWords(b *testing.B) {
	var w lastWords
	chunk := []byte(strings.Repeat("a line of some length, as a program's log has them\n", 600))
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		w.write(chunk)
	}
}
