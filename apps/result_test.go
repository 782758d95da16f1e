package apps

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestResult(t *testing.T) {
	var r Result
	r.Add("app", "mf")
	r.Add("clocks", int64(1280))
	r.Add("rate", Rate(31.2e6))
	r.Add("loss", 1.154321987)
	r.Add("note", "two words")
	r.Add("worst", math.Inf(1))
	if got, want := r.Line(), `result app=mf clocks=1280 rate=31.2e6 loss=1.15432 note="two words" worst=+Inf`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(r.JSON()), &back); err != nil {
		t.Fatalf("%s: %v", r.JSON(), err)
	}
	want := map[string]any{"app": "mf", "clocks": 1280.0, "rate": 31.2e6, "loss": 1.15432, "note": "two words", "worst": "+Inf"}
	if !reflect.DeepEqual(back, want) {
		t.Errorf("got %v, want %v", back, want)
	}
	if !strings.HasPrefix(r.JSON(), `{"app":"mf","clocks":1280,`) {
		t.Errorf("keys out of order: %s", r.JSON())
	}
}

func TestRate(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 7: "7", 999.94: "999.9", 1000: "1e3", 12346: "12.35e3", 31.2e6: "31.2e6", 999999: "1e6", 2e12: "2e12", -5000: "-5e3"} {
		got := Rate(x).String()
		if got != want {
			t.Errorf("%g prints as %s, want %s", x, got, want)
		}
		if v, err := strconv.ParseFloat(got, 64); err != nil || math.Abs(v-x) > 1e-3*math.Abs(x) {
			t.Errorf("%g prints as %s, which reads as %g, %v", x, got, v, err)
		}
	}
}
