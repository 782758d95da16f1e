package bootstrap

import "testing"

func TestParseStraggle(t *testing.T) {
	for _, text := range []string{"", "rank=1,factor=4", "rank=0,delay=20ms", "rotate,delay=200ms", "random,p=0.05,delay=200ms"} {
		s, err := ParseStraggle(text)
		if err != nil || s.String() != text {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{
		"rank", "rank=1", "rank=-1,factor=2", "rank=1,factor=0.5", "rank=1,factor=NaN", "rank=1,factor=2,delay=1s", "rotate", "rotate,delay=-1s",
		"rotate,delay=1s,delay=1s", "random,delay=1s", "random,p=2,delay=1s", "random,p=0.5", "delay=1s", "rotate=1,delay=1s", "rotate,delay=1s,", "x",
	} {
		if s, err := ParseStraggle(text); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func FuzzParseStraggle(f *testing.F) {
	for _, s := range []string{"rank=1,factor=4", "rotate,delay=200ms", "random,p=0.05,delay=200ms", "rank=2,delay=1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStraggle(text)
		if err != nil {
			return
		}
		if back, err := ParseStraggle(s.String()); err != nil || back != s {
			t.Fatalf("%q: %v comes back as %v, %v", text, s, back, err)
		}
	})
}

func TestStraggleValidate(t *testing.T) {
	for _, x := range []struct {
		text string
		size int
		ok   bool
	}{{"rank=3,factor=2", 4, true}, {"rank=3,factor=2", 3, false}, {"rotate,delay=1s", 1, true}, {"", 1, true}} {
		s, err := ParseStraggle(x.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(x.size); (err == nil) != x.ok {
			t.Errorf("%q among %d ranks: %v", x.text, x.size, err)
		}
	}
}
