package ssp

import (
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/rule"
)

// form is how a kind of rule is written: NAME, or NAME:ARGUMENTS with commas
// between them, the numbers first.
type form struct {
	name, usage string
	rate        bool       // the first number is the rate
	args        int        // numbers behind it
	defaults    [3]float64 // where all of args are left out
	optional    bool       // they may be
}

var forms = [...]form{
	rule.Add:         {name: "add", usage: "add"},
	rule.SGD:         {name: "sgd", usage: "sgd:RATE", rate: true},
	rule.Momentum:    {name: "momentum", usage: "momentum:RATE,MU", rate: true, args: 1, defaults: [3]float64{0.9}, optional: true},
	rule.AdaGrad:     {name: "adagrad", usage: "adagrad:RATE", rate: true},
	rule.Adam:        {name: "adam", usage: "adam:RATE,BETA1,BETA2", rate: true, args: 2, defaults: [3]float64{0.9, 0.999}, optional: true},
	rule.FTRL:        {name: "ftrl", usage: "ftrl:ALPHA,BETA,L1,L2", rate: true, args: 3, defaults: [3]float64{1}, optional: true},
	rule.AdaRevision: {name: "adarevision", usage: "adarevision:ALPHA", rate: true},
	rule.User:        {name: "user", usage: "user:NAME,COLUMNS"},
}

// The words of schedules and projections.
const (
	wordSqrt    = "sqrt"
	wordInverse = "inverse="
	wordClamp   = "clamp:"
	wordBall    = "ball:"
)

// String returns the text that ParseUpdate reads, such as "adagrad:0.1".
func (u Update) String() string {
	s, f := &u.spec, forms[u.spec.Kind]
	var args []string
	if f.rate {
		args = append(args, number(s.Rate))
	}
	for _, x := range s.Arg[:f.args] {
		args = append(args, number(x))
	}
	if s.Kind == rule.User {
		args = append(args, u.name)
		if s.Columns > 0 {
			args = append(args, strconv.Itoa(s.Columns))
		}
	}
	switch s.Schedule {
	case rule.Sqrt:
		args = append(args, wordSqrt)
	case rule.Inverse:
		args = append(args, wordInverse+number(s.Decay))
	}
	text := f.name
	if len(args) > 0 {
		text += ":" + strings.Join(args, ",")
	}
	if s.Clamped {
		text += "/" + wordClamp + number(s.Lo) + "," + number(s.Hi)
	}
	if s.Radius != 0 {
		text += "/" + wordBall + number(s.Radius)
	}
	return text
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// ParseUpdate reads an update rule:
//
//	add
//	sgd:RATE  momentum:RATE[,MU]  adagrad:RATE  adam:RATE[,BETA1,BETA2]
//	ftrl:ALPHA[,BETA,L1,L2]  adarevision:ALPHA
//	user:NAME[,COLUMNS]
//
// MU is 0.9, the betas of adam are 0.9 and 0.999, those numbers of ftrl 1, 0 and
// 0 where they are left out. A schedule may follow the numbers of sgd, momentum,
// adagrad and adam: ",sqrt" or ",inverse=DECAY". Projections follow: "/clamp:LO,HI",
// where bounds may be -inf and inf, and "/ball:RADIUS". Examples:
// "sgd:0.1,sqrt", "adagrad:0.1/clamp:-1,1".
func ParseUpdate(text string) (Update, error) {
	u, err := parseUpdate(text)
	if err != nil {
		return Update{}, errors.WithMessagef(err, "update %q", text)
	}
	return u, nil
}

func parseUpdate(text string) (u Update, err error) {
	parts := strings.Split(text, "/")
	name, list, given := strings.Cut(parts[0], ":")
	var args []string
	if given {
		args = strings.Split(list, ",")
	}
	kind := -1
	var usages []string
	for k, f := range forms {
		usages = append(usages, f.usage)
		if f.name == name {
			kind = k
		}
	}
	if kind < 0 {
		last := len(usages) - 1
		return u, errors.Errorf("expected %s or %s", strings.Join(usages[:last], ", "), usages[last])
	}
	u.spec.Kind = rule.Kind(kind)
	if u.spec.Kind == rule.User {
		err = u.parseUser(args)
	} else {
		err = u.parseNumbers(args, forms[kind])
	}
	if err != nil {
		return u, err
	}
	for _, p := range parts[1:] {
		if err := u.parseProjection(p); err != nil {
			return u, err
		}
	}
	return u, u.spec.Check()
}

func (u *Update) parseUser(args []string) (err error) {
	if len(args) < 1 || len(args) > 2 || !goodName(args[0]) {
		return errors.Errorf("expected %s", forms[rule.User].usage)
	}
	u.name = args[0]
	if len(args) == 2 {
		u.spec.Columns, err = strconv.Atoi(args[1])
		if err != nil {
			return errors.Errorf("columns %q: expected a number", args[1])
		}
	}
	return nil
}

func (u *Update) parseNumbers(args []string, f form) (err error) {
	if n := len(args); n > 0 && u.spec.Kind.Scheduled() {
		decay, inverse := strings.CutPrefix(args[n-1], wordInverse)
		switch {
		case inverse:
			u.spec.Schedule = rule.Inverse
			if u.spec.Decay, err = parseNumber(decay); err != nil {
				return err
			}
			args = args[:n-1]
		case args[n-1] == wordSqrt:
			u.spec.Schedule = rule.Sqrt
			args = args[:n-1]
		}
	}
	want := f.args
	if f.rate {
		want++
	}
	if len(args) != want && !(f.optional && len(args) == 1) {
		return errors.Errorf("expected %s", f.usage)
	}
	if !f.rate {
		return nil
	}
	if u.spec.Rate, err = parseNumber(args[0]); err != nil {
		return err
	}
	u.spec.Arg = f.defaults
	for i, a := range args[1:] {
		if u.spec.Arg[i], err = parseNumber(a); err != nil {
			return err
		}
	}
	return nil
}

func (u *Update) parseProjection(text string) (err error) {
	if list, ok := strings.CutPrefix(text, wordClamp); ok && !u.spec.Clamped {
		lo, hi, two := strings.Cut(list, ",")
		if !two {
			return errors.Errorf("projection %q: expected clamp:LO,HI", text)
		}
		u.spec.Clamped = true
		if u.spec.Lo, err = parseNumber(lo); err != nil {
			return err
		}
		u.spec.Hi, err = parseNumber(hi)
		return err
	}
	if radius, ok := strings.CutPrefix(text, wordBall); ok && u.spec.Radius == 0 {
		u.spec.Radius, err = parseNumber(radius)
		if err == nil && u.spec.Radius == 0 {
			return errors.New("ball of radius 0: expected a number above 0")
		}
		return err
	}
	return errors.Errorf("projection %q: expected clamp:LO,HI or ball:RADIUS, each at most once", text)
}

func parseNumber(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errors.Errorf("%q: expected a number", text)
	}
	return x + 0, nil // never -0: equal rules have equal texts
}

// goodName reports whether a rule of the user may have a name.
func goodName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
