package ssp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/ssp"
)

func TestParseUpdate(t *testing.T) {
	for _, x := range []struct {
		text string
		want ssp.Update
		back string // String, where it is not text
		err  string
	}{
		{"add", ssp.Add(), "", ""},
		{"add", ssp.Update{}, "", ""},
		{"sgd:0.1", ssp.SGD(0.1), "", ""},
		{"sgd:1e-3,sqrt", ssp.SGD(0.001).Sqrt(), "sgd:0.001,sqrt", ""},
		{"sgd:0.1,inverse=0.01", ssp.SGD(0.1).Inverse(0.01), "", ""},
		{"momentum:0.1", ssp.Momentum(0.1, 0.9), "momentum:0.1,0.9", ""},
		{"momentum:0.1,0,sqrt", ssp.Momentum(0.1, 0).Sqrt(), "", ""},
		{"adagrad:0.1", ssp.AdaGrad(0.1), "", ""},
		{"adagrad:0.1/clamp:-1,1", ssp.AdaGrad(0.1).Clamp(-1, 1), "", ""},
		{"adam:0.001", ssp.Adam(0.001, 0.9, 0.999), "adam:0.001,0.9,0.999", ""},
		{"adam:0.001,sqrt", ssp.Adam(0.001, 0.9, 0.999).Sqrt(), "adam:0.001,0.9,0.999,sqrt", ""},
		{"adam:0.001,0.8,0.9", ssp.Adam(0.001, 0.8, 0.9), "", ""},
		{"ftrl:0.1", ssp.FTRL(0.1, 1, 0, 0), "ftrl:0.1,1,0,0", ""},
		{"ftrl:0.1,1,0.5,1e-07", ssp.FTRL(0.1, 1, 0.5, 1e-7), "", ""},
		{"adarevision:1e+06", ssp.AdaRevision(1e6), "", ""},
		{"add/clamp:0,inf", ssp.Add().Clamp(0, math.Inf(1)), "add/clamp:0,+Inf", ""},
		{"add/clamp:-0,-0", ssp.Add().Clamp(0, math.Copysign(0, -1)), "add/clamp:0,0", ""},
		{"sgd:1/ball:2/clamp:-1,1", ssp.SGD(1).Clamp(-1, 1).Ball(2), "sgd:1/clamp:-1,1/ball:2", ""},
		{"user:bold_driver.2", ssp.UserDefined("bold_driver.2", 0), "", ""},
		{"user:x,3/clamp:0,1", ssp.UserDefined("x", 3).Clamp(0, 1), "", ""},

		{"", ssp.Update{}, "", "expected add, sgd:RATE"},
		{"SGD:1", ssp.Update{}, "", "expected add"},
		{"add:1", ssp.Update{}, "", "expected add"},
		{"add:sqrt", ssp.Update{}, "", "expected add"},
		{"sgd", ssp.Update{}, "", "expected sgd:RATE"},
		{"sgd:", ssp.Update{}, "", "expected a number"},
		{"sgd:x", ssp.Update{}, "", "expected a number"},
		{"sgd:0", ssp.Update{}, "", "above 0"},
		{"sgd:-1", ssp.Update{}, "", "above 0"},
		{"sgd:nan", ssp.Update{}, "", "above 0"},
		{"sgd:inf", ssp.Update{}, "", "above 0"},
		{"sgd:1,2", ssp.Update{}, "", "expected sgd:RATE"},
		{"sgd:1,inverse=0", ssp.Update{}, "", "decay 0"},
		{"sgd:1,sqrt,sqrt", ssp.Update{}, "", "expected sgd:RATE"},
		{"momentum:1,1", ssp.Update{}, "", "momentum 1"},
		{"adam:1,0.9", ssp.Update{}, "", "expected adam"},
		{"adam:1,0.9,1", ssp.Update{}, "", "below 1"},
		{"ftrl:1,0,0,0", ssp.Update{}, "", "beta 0"},
		{"ftrl:1,1,-1,0", ssp.Update{}, "", "penalties"},
		{"ftrl:1,sqrt", ssp.Update{}, "", "expected"},
		{"adarevision:1,sqrt", ssp.Update{}, "", "expected adarevision"},
		{"add/clamp:1", ssp.Update{}, "", "clamp:LO,HI"},
		{"add/clamp:1,0", ssp.Update{}, "", "the smaller first"},
		{"add/clamp:nan,0", ssp.Update{}, "", "the smaller first"},
		{"add/clamp:inf,inf", ssp.Update{}, "", "the smaller first"},
		{"add/clamp:0,1/clamp:0,1", ssp.Update{}, "", "at most once"},
		{"add/ball:0", ssp.Update{}, "", "above 0"},
		{"add/ball:-1", ssp.Update{}, "", "above 0"},
		{"add/ball:nan", ssp.Update{}, "", "above 0"},
		{"add/", ssp.Update{}, "", "projection"},
		{"user", ssp.Update{}, "", "expected user"},
		{"user:", ssp.Update{}, "", "expected user"},
		{"user:a b", ssp.Update{}, "", "expected user"},
		{"user:a,-1", ssp.Update{}, "", "columns"},
		{"user:a,65", ssp.Update{}, "", "columns"},
		{"user:a,b", ssp.Update{}, "", "columns"},
		{"user:" + strings.Repeat("a", 65), ssp.Update{}, "", "expected user"},
	} {
		got, err := ssp.ParseUpdate(x.text)
		if got != x.want || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%q: %v, %v; want %v, %q", x.text, got, err, x.want, x.err)
			continue
		}
		want := x.back
		if want == "" {
			want = x.text
		}
		if err == nil && got.String() != want {
			t.Errorf("%q comes back as %q, want %q", x.text, got, want)
		}
	}
}

// TestUpdatesPanic: numbers out of range are a programming error.
func TestUpdatesPanic(t *testing.T) {
	for name, f := range map[string]func() ssp.Update{
		"rate 0":          func() ssp.Update { return ssp.SGD(0) },
		"rate nan":        func() ssp.Update { return ssp.AdaRevision(math.NaN()) },
		"mu 1":            func() ssp.Update { return ssp.Momentum(1, 1) },
		"schedule":        func() ssp.Update { return ssp.FTRL(1, 1, 0, 0).Sqrt() },
		"schedule of add": func() ssp.Update { return ssp.Add().Inverse(1) },
		"clamp":           func() ssp.Update { return ssp.Add().Clamp(1, 0) },
		"ball 0":          func() ssp.Update { return ssp.Add().Ball(0) },
		"name":            func() ssp.Update { return ssp.UserDefined("a/b", 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func FuzzParseUpdate(f *testing.F) {
	for _, s := range []string{
		"add", "sgd:0.1,sqrt", "momentum:0.1,0.9,inverse=1e-3", "adagrad:0.1/clamp:-1,1/ball:3", "adam:0.001", "ftrl:0.1,1,0.5,0",
		"adarevision:1e6", "user:a-b,2/clamp:-inf,0x1p-3", "sgd:1_000", "add/clamp:-0,+0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ssp.ParseUpdate(text)
		if err != nil {
			if u != (ssp.Update{}) {
				t.Fatalf("%q: %v with %v", text, u, err)
			}
			return
		}
		v, err := ssp.ParseUpdate(u.String())
		if err != nil || u != v {
			t.Fatalf("%q: %v comes back as %v, %v", text, u, v, err)
		}
	})
}
