package launcher

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/ssp"
)

func TestParseSettings(t *testing.T) {
	for list, want := range map[string][]string{
		"bsp":                      {"bsp"},
		"bsp,ssp:3":                {"bsp", "ssp:3"},
		"cvap:3,0.1,bsp,cvap:3,.5": {"cvap:3,0.1", "bsp", "cvap:3,.5"},
		"vap:0.1,strong,absp:2,1,vap:inf,cvap:3,inf,sqrt,element,async": {"vap:0.1,strong", "absp:2,1", "vap:inf", "cvap:3,inf,sqrt,element", "async"},
		"vap:1,strong;mine:a,b;bsp":                                     {"vap:1,strong", "mine:a,b", "bsp"},
		"managed:3,mag,cvap:3,0.1,managed:3,managed:1,fifo":             {"managed:3,mag", "cvap:3,0.1", "managed:3", "managed:1,fifo"},
		"cvap:3,+Inf,strong,managed,random,ssp:1,mag,mine:1,strong":     {"cvap:3,+Inf,strong", "managed", "random", "ssp:1", "mag", "mine:1", "strong"},
	} {
		if got, err := ParseSettings(list); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q (%v), want %q", list, got, err, want)
		}
	}
	for _, list := range []string{"", ",", "bsp,", ",bsp", "bsp,,ssp:1", "bsp, ssp:1", "bsp,bsp", "strong,strong", "bsp;;ssp:1", "bsp;bsp"} {
		if got, err := ParseSettings(list); err == nil || !strings.Contains(err.Error(), "-sync") {
			t.Errorf("%q: got %q, error %v", list, got, err)
		}
	}
}

// TestParseSettingsKnowsPolicies: the words of every policy of the store belong to it.
func TestParseSettingsKnowsPolicies(t *testing.T) {
	_, err := ssp.ParsePolicy("?", 0)
	words := 0
	for _, usage := range regexp.MustCompile(`(\w+):(\w+,)?\w+(\[,[\w|]+\])+`).FindAllString(err.Error(), -1) {
		name, rest, _ := strings.Cut(usage, ":")
		for _, word := range regexp.MustCompile(`[a-z]+`).FindAllString(rest, -1) {
			words++
			want := name + ":3,0.5," + word
			if got, err := ParseSettings(want + ",bsp"); err != nil || !slices.Equal(got, []string{want, "bsp"}) {
				t.Errorf("%s,bsp: got %q (%v)", want, got, err)
			}
		}
	}
	if words < 10 {
		t.Errorf("only %d words in %q", words, err)
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("bsp,ssp:3,cvap:3,0.1")
	f.Add("0,1")
	f.Add("vap:1,strong;bsp")
	f.Fuzz(func(t *testing.T, list string) {
		got, err := ParseSettings(list)
		if err == nil && strings.Join(got, ",") != list && strings.Join(got, ";") != list {
			t.Errorf("%q becomes %q", list, got)
		}
	})
}

// Every repeat has every setting once, in orders that differ and that the seed
// repeats; every run has a folder of its own.
func TestComparisonPlan(t *testing.T) {
	for n := 1; n <= 8; n++ {
		c := &Comparison{Job: Job{RunDir: "out"}, Repeats: 20, Shuffle: 7}
		for i := range n {
			c.Settings = append(c.Settings, fmt.Sprintf("ssp:%d", i))
		}
		plan := c.Plan()
		if !reflect.DeepEqual(plan, c.Plan()) {
			t.Fatalf("%d settings: two plans of one seed differ", n)
		}
		dirs, orders, firsts := map[string]bool{}, map[string]bool{}, map[string]int{}
		for r := range c.Repeats {
			var order []string
			for _, trial := range plan[r*n : (r+1)*n] {
				if trial.Repeat != r+1 || filepath.Dir(trial.Dir) != "out" {
					t.Fatalf("%+v in repeat %d", trial, r+1)
				}
				order = append(order, trial.Setting)
				dirs[trial.Dir] = true
			}
			firsts[order[0]]++
			orders[strings.Join(order, " ")] = true
			slices.Sort(order)
			if !slices.Equal(order, slices.Sorted(slices.Values(c.Settings))) {
				t.Fatalf("repeat %d has %q", r+1, order)
			}
		}
		if len(dirs) != len(plan) {
			t.Errorf("%d folders for %d runs", len(dirs), len(plan))
		}
		if n > 2 && (len(orders) < 5 || len(firsts) < 3) {
			t.Errorf("%d settings: %d orders in 20 repeats, first were %v", n, len(orders), firsts)
		}
		c.Shuffle = 8
		if other := c.Plan(); n > 2 && reflect.DeepEqual(plan, other) {
			t.Errorf("%d settings: another seed makes the same plan", n)
		}
	}
}

func TestFoldersAreTold(t *testing.T) {
	c := &Comparison{Job: Job{RunDir: "out"}, Repeats: 1, Settings: []string{"a:b", "ab", "a/../b", "cvap:3,0.1", ""}}
	seen := map[string]bool{}
	for _, trial := range c.Plan() {
		if seen[trial.Dir] || filepath.Dir(trial.Dir) != "out" {
			t.Errorf("%q goes to %s", trial.Setting, trial.Dir)
		}
		seen[trial.Dir] = true
	}
}
