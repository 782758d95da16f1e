package ssp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/ssp"
)

func TestParsePolicy(t *testing.T) {
	for _, x := range []struct {
		text      string
		staleness int
		want      ssp.Policy
		err       string
	}{
		{"bsp", 0, ssp.BSP(), ""},
		{"ssp:3", 0, ssp.SSP(3), ""},
		{"ssp:3", 3, ssp.SSP(3), ""},
		{"ssp", 2, ssp.SSP(2), ""},
		{"ssp", 0, ssp.SSP(0), ""},
		{"essp:0", 0, ssp.ESSP(0), ""},
		{"essp", 7, ssp.ESSP(7), ""},
		{"async", 0, ssp.Async(), ""},
		{"fssp:3", 0, ssp.FSSP(3), ""},
		{"backup:2", 0, ssp.Backup(2), ""},
		{"dbw", 0, ssp.DBW(), ""},
		{"dbw:blind", 0, ssp.BlindDBW(), ""},
		{"dbw:adasync", 0, ssp.AdaSync(), ""},
		{"dbw:", 0, ssp.Policy{}, "expected dbw, dbw:blind"},
		{"dbw", 1, ssp.Policy{}, "contradicts"},
		{"backup", 2, ssp.Policy{}, "contradicts"},
		{"backup", 0, ssp.Policy{}, "expected the number"},
		{"backup:-1", 0, ssp.Policy{}, "expected a number"},
		{"backup:1,2", 0, ssp.Policy{}, "expected the number"},
		{"fssp", 2, ssp.FSSP(2), ""},
		{"fssp:3", 2, ssp.Policy{}, "contradicts"},
		{"fssp:3,4", 0, ssp.Policy{}, "expected one number"},
		{"async", -1, ssp.Async(), ""},
		{"auto", 0, ssp.Auto(7), ""},
		{"auto", -1, ssp.Auto(7), ""},
		{"auto", 2, ssp.Auto(2), ""},
		{"auto:15", 0, ssp.Auto(15), ""},
		{"auto:64", 0, ssp.Policy{}, "at most 63"},
		{"auto:1,2", 0, ssp.Policy{}, "expected one number"},
		{"absp:4", 0, ssp.ABSP(4), ""},
		{"absp:4", -1, ssp.ABSP(4), ""},
		{"absp:2,1", 0, ssp.WPC(2, 1), ""},
		{"absp:2", 1, ssp.WPC(2, 1), ""},
		{"absp:4,0", 0, ssp.ABSP(4), ""},
		{"cap:3", 0, ssp.CAP(3), ""},
		{"cap", 3, ssp.CAP(3), ""},
		{"vap:0.1", 0, ssp.VAP(0.1), ""},
		{"managed:3", 0, ssp.Managed(3, ssp.RelativeMagnitude), ""},
		{"managed", 4, ssp.Managed(4, ssp.RelativeMagnitude), ""},
		{"managed:3,relmag", -1, ssp.Managed(3, ssp.RelativeMagnitude), ""},
		{"managed:0,mag", 0, ssp.Managed(0, ssp.Magnitude), ""},
		{"managed:3,fifo", 3, ssp.Managed(3, ssp.FIFO), ""},
		{"managed:3,random", 0, ssp.Managed(3, ssp.Random), ""},
		{"managed", -1, ssp.Policy{}, "expected 0"},
		{"managed:3", 2, ssp.Policy{}, "contradicts"},
		{"managed:mag", 0, ssp.Policy{}, "expected a number"},
		{"managed:3,big", 0, ssp.Policy{}, "expected relmag"},
		{"managed:3,mag,mag", 0, ssp.Policy{}, "expected managed:S"},
		{"vap:10,strong", -1, ssp.VAP(10, ssp.Strong), ""},
		{"vap:1e-3,sqrt,element", 0, ssp.VAP(0.001, ssp.Element, ssp.Sqrt), ""},
		{"vap:inf", 0, ssp.VAP(math.Inf(1)), ""},
		{"cvap:3,0.1", 0, ssp.CVAP(3, 0.1), ""},
		{"cvap:3,0.1,strong", 3, ssp.CVAP(3, 0.1, ssp.Strong), ""},
		{"vap", 0, ssp.Policy{}, "expected vap:V"},
		{"vap:0", 0, ssp.Policy{}, "above 0"},
		{"vap:nan", 0, ssp.Policy{}, "above 0"},
		{"vap:1,weak", 0, ssp.Policy{}, "expected strong"},
		{"vap:1,strong,strong", 0, ssp.Policy{}, "twice"},
		{"vap:1", 2, ssp.Policy{}, "contradicts"},
		{"cvap:3", 0, ssp.Policy{}, "expected cvap:S,V"},
		{"cvap:3,1", 4, ssp.Policy{}, "contradicts"},
		{"absp", 0, ssp.Policy{}, "absp:K"},
		{"absp:0", 0, ssp.Policy{}, "from 1"},
		{"absp:1,2,3", 0, ssp.Policy{}, "absp:K"},
		{"absp:65536,65536", 0, ssp.Policy{}, "more than"},
		{"cap:1,2", 0, ssp.Policy{}, "expected one number"},
		{"ssp:3", 4, ssp.Policy{}, "contradicts"},
		{"bsp", 1, ssp.Policy{}, "contradicts"},
		{"async", 1, ssp.Policy{}, "contradicts"},
		{"async:1", 0, ssp.Policy{}, "takes no staleness"},
		{"bsp:0", 0, ssp.Policy{}, "takes no staleness"},
		{"ssp", -1, ssp.Policy{}, "expected 0"},
		{"ssp:", 0, ssp.Policy{}, "expected a number"},
		{"ssp:-1", 0, ssp.Policy{}, "expected a number"},
		{"ssp:99999999999", 0, ssp.Policy{}, "expected a number"},
		{"SSP", 0, ssp.Policy{}, "expected bsp, ssp:S, essp:S, async, auto[:S], absp:K, cap:S, fssp:S, backup:B, vap:V[,strong][,sqrt][,element], cvap:S,V[,strong][,sqrt][,element], dbw[:RULE] or managed:S[,relmag|mag|fifo|random]"},
		{"", 0, ssp.Policy{}, "expected bsp"},
	} {
		got, err := ssp.ParsePolicy(x.text, x.staleness)
		if got != x.want || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%q, %d: %v, %v; want %v, %q", x.text, x.staleness, got, err, x.want, x.err)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{"bsp", "ssp:3", "essp:0", "async", "ssp", "ssp:07", "vap:1", "absp:4,1", "fssp:2", "backup:1", "cvap:2,.5,sqrt", "dbw", "dbw:blind", "managed:3,fifo"} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, text string, staleness int) {
		p, err := ssp.ParsePolicy(text, staleness)
		if err != nil {
			return
		}
		q, err := ssp.ParsePolicy(p.String(), 0)
		if err != nil || q != p {
			t.Fatalf("%q, %d: %v comes back as %v, %v", text, staleness, p, q, err)
		}
	})
}
