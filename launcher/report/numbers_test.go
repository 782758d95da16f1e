package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// raw is a run as its files say it, without the code under test.
type raw struct {
	setting string
	events  [][]map[string]any // by rank
}

func readRaw(t *testing.T, dir string) raw {
	t.Helper()
	var job struct {
		Ranks   int
		Setting string
	}
	text, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err == nil {
		err = json.Unmarshal(text, &job)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := raw{setting: job.Setting}
	for rank := range job.Ranks {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("rank-%d.jsonl", rank)))
		if err != nil {
			t.Fatal(err)
		}
		var events []map[string]any
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		r.events = append(r.events, events)
	}
	return r
}

// num is a number of an event, 0 where it is absent.
func num(e map[string]any, key string) float64 { v, _ := e[key].(float64); return v }

// each calls f with the last event of a kind of every rank and worker.
func (r raw) each(kind string, f func(e map[string]any)) {
	for _, events := range r.events {
		last := map[float64]map[string]any{}
		for _, e := range events {
			if e["ev"] == kind {
				last[num(e, "w")] = e
			}
		}
		for _, w := range slices.Sorted(maps.Keys(last)) {
			f(last[w])
		}
	}
}

// expected recomputes the numbers of a run that the first three tables show.
func (r raw) expected(target float64) map[string]float64 {
	out := map[string]float64{}
	sum := map[string]float64{}
	stale := map[float64]float64{}
	r.each("clock", func(e map[string]any) {
		for _, k := range []string{"compute", "straggle", "gate", "miss", "flush", "reads", "fetches", "held", "saved"} {
			sum[k] += num(e, k)
		}
		for _, p := range e["stale"].([]any) {
			stale[-p.([]any)[0].(float64)] += p.([]any)[1].(float64)
		}
	})
	sum["compute"] -= sum["straggle"]
	all := sum["compute"] + sum["straggle"] + sum["gate"] + sum["miss"] + sum["flush"]
	for _, k := range []string{"compute", "straggle", "gate", "miss", "flush"} {
		out[k+"_share"] = sum[k] / all
	}
	out["waited_share"] = (sum["gate"] + sum["miss"] + sum["flush"]) / all
	out["held_rows"], out["filtered_bytes"] = sum["held"], sum["saved"]
	out["reads"], out["fetched_share"] = sum["reads"], sum["fetches"]/sum["reads"]
	n, mean := 0.0, 0.0
	for age, reads := range stale {
		n, mean = n+reads, mean+age*reads
	}
	out["staleness_mean"] = mean / n
	seen := 0.0
	for _, age := range slices.Sorted(maps.Keys(stale)) {
		if seen += stale[age]; seen >= 0.99*n {
			out["staleness_p99"] = age
			break
		}
	}
	bytes := map[string]float64{}
	link := 0.0
	for rank, events := range r.events {
		var last map[string]any
		for _, e := range events {
			if e["ev"] == "bytes" {
				last = e
			}
		}
		for class, v := range last["bytes"].(map[string]any) {
			bytes[class] += v.(float64)
		}
		for to, v := range last["to"].([]any) {
			if to != rank {
				link = max(link, v.(float64)*8/1e6)
			}
		}
	}
	for _, c := range []string{"update", "fetch", "push", "control"} {
		out[c+"_bytes"] = bytes[c]
	}
	out["sent_bytes"] = bytes["wire"]
	out["other_bytes"] = bytes["wire"] - bytes["update"] - bytes["fetch"] - bytes["push"] - bytes["control"]
	out["compression"] = bytes["raw"] / (bytes["update"] + bytes["fetch"] + bytes["push"])
	out["link_seconds"] = link
	var before map[string]any
	items, first := 0.0, math.NaN()
	for _, e := range r.events[0] {
		if e["ev"] != "loss" || e["metric"] != "loglik" {
			continue
		}
		v := num(e, "v")
		if _, reached := out["seconds_to_target"]; !reached && v >= target {
			f := 1.0
			from := e
			if before != nil {
				from = before
				f = (target - num(before, "v")) / (v - num(before, "v"))
			}
			out["seconds_to_target"] = num(from, "seconds") + f*(num(e, "seconds")-num(from, "seconds"))
			out["clocks_to_target"] = num(from, "clocks") + f*(num(e, "clocks")-num(from, "clocks"))
		}
		if before != nil {
			items += num(e, "rate") * (num(e, "seconds") - num(before, "seconds"))
		} else {
			first = num(e, "seconds")
		}
		out["final_loglik"], out["seconds"] = v, num(e, "seconds")
		before = e
	}
	out["rate"] = items / (out["seconds"] - first)
	return out
}

// pageTables reads the tables of a page: by ID, rows of keys to exact values.
func pageTables(page string) map[string][]map[string]string {
	out := map[string][]map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)<div class="table" id="table-([^"]*)">(.*?)</table>`).FindAllStringSubmatch(page, -1) {
		var keys []string
		for _, k := range regexp.MustCompile(`data-key="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			keys = append(keys, k[1])
		}
		_, body, _ := strings.Cut(m[2], "<tbody>")
		for _, tr := range strings.Split(body, "</tr>") {
			row := map[string]string{}
			for i, td := range regexp.MustCompile(`(?s)<td([^>]*)>(.*?)</td>`).FindAllStringSubmatch(tr, -1) {
				row[keys[i]] = td[2]
				for attribute, suffix := range map[string]string{"data-v": "", "data-low": "_low", "data-high": "_high"} {
					if v := regexp.MustCompile(attribute + `="([^"]*)"`).FindStringSubmatch(td[1]); v != nil {
						row[keys[i]+suffix] = strings.ReplaceAll(v[1], "&#43;", "+")
					}
				}
			}
			if len(row) > 0 {
				out[m[1]] = append(out[m[1]], row)
			}
		}
	}
	return out
}

// The page's numbers are the CSV's are the records'.
func TestNumbers(t *testing.T) {
	dirs := several(t)
	r := read(t, Options{}, dirs...)
	var page, data bytes.Buffer
	if err := r.Page(&page, Live{}); err != nil {
		t.Fatal(err)
	}
	if err := r.JSON(&data); err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Target float64
		Tables map[string][]map[string]any
	}
	if err := json.Unmarshal(data.Bytes(), &whole); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "csv")
	if err := r.WriteFile(folder, "csv"); err != nil {
		t.Fatal(err)
	}
	shown := pageTables(page.String())
	want := map[string][]map[string]float64{} // by setting
	for _, dir := range dirs {
		run := readRaw(t, dir)
		want[run.setting] = append(want[run.setting], run.expected(whole.Target))
	}
	compared := 0
	for _, table := range r.Tables {
		if len(table.Rows) == 0 {
			t.Errorf("table %s is empty", table.ID)
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, table.ID+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) != len(shown[table.ID])+1 || len(lines) != len(whole.Tables[table.ID])+1 {
			t.Fatalf("table %s: CSV %d rows, page %d, JSON %d", table.ID, len(lines)-1, len(shown[table.ID]), len(whole.Tables[table.ID]))
		}
		for i, line := range lines[1:] {
			for j, key := range lines[0] {
				if got := shown[table.ID][i][key]; got != line[j] && line[j] != "" {
					t.Errorf("table %s, row %d, %s: page %q, CSV %q", table.ID, i, key, got, line[j])
				}
				switch v := whole.Tables[table.ID][i][key].(type) {
				case float64:
					if x, err := strconv.ParseFloat(line[j], 64); err != nil || x != v {
						t.Errorf("table %s, row %d, %s: JSON %g, CSV %q", table.ID, i, key, v, line[j])
					}
				case nil:
					if line[j] != "" {
						t.Errorf("table %s, row %d, %s: JSON null, CSV %q", table.ID, i, key, line[j])
					}
				}
				if table.ID != "settings" && table.ID != "time" && table.ID != "traffic" {
					continue
				}
				runs := want[line[0]]
				base, suffix := key, ""
				for _, s := range []string{"_low", "_high"} {
					if b, ok := strings.CutSuffix(key, s); ok {
						base, suffix = b, s
					}
				}
				a, known := runs[0][base]
				if !known {
					continue
				}
				b := runs[1][base]
				expect := (a + b) / 2
				switch suffix {
				case "_low":
					expect = min(a, b)
				case "_high":
					expect = max(a, b)
				}
				got, err := strconv.ParseFloat(line[j], 64)
				if err != nil || math.Abs(got-expect) > 1e-9*math.Abs(expect) {
					t.Errorf("%s of %s: the records say %.12g, the tables %q", key, line[0], expect, line[j])
				}
				compared++
			}
		}
	}
	if compared < 3*3*20 {
		t.Errorf("only %d numbers were compared", compared)
	}
}

// What curves draw are the records' values.
func TestCurvesAreTheRecords(t *testing.T) {
	dir := synthetic(t, made{sync: "bsp", limit: -7, speed: 0.5})
	r := read(t, Options{}, dir)
	var want []Point
	for _, e := range readRaw(t, dir).events[0] {
		if e["ev"] == "loss" && e["metric"] == "loglik" {
			want = append(want, Point{Seconds: num(e, "seconds"), Clocks: num(e, "clocks"), Value: num(e, "v")})
		}
	}
	for id, x := range map[string]func(Point) float64{"loss-time": func(p Point) float64 { return p.Seconds }, "loss-clocks": func(p Point) float64 { return p.Clocks }} {
		rows := r.Table(id).Rows
		if len(rows) != len(want) {
			t.Fatalf("%s: %d rows, want %d", id, len(rows), len(want))
		}
		for i, row := range rows {
			if row[1].Value != x(want[i]) || row[2].Value != want[i].Value {
				t.Errorf("%s: row %d: %v, want %v", id, i, row, want[i])
			}
		}
	}
	last := r.Table("bytes-time").Rows
	if got := last[len(last)-1][2].Value * 1e3; math.Abs(got-120000) > 1 { // both ranks, 10 × 100 × 40 × (1 + 2)
		t.Errorf("%g bytes at the end, want 120000", got)
	}
}

// 0 is a target like any other.
func TestTargetZero(t *testing.T) {
	dir := synthetic(t, made{sync: "bsp", limit: 0.5, speed: 0.3}) // 0.5 - e^(-0.3 pass), two passes a second
	r := read(t, Options{Target: new(0.0)}, dir)
	if !r.Reached || r.Target != 0 {
		t.Fatalf("target %g, %v", r.Target, r.Reached)
	}
	if at := r.Table("settings").Rows[0][2].Value; math.Abs(at-math.Log(2)/0.3/2) > 0.02 {
		t.Errorf("reached after %g s, want %g", at, math.Log(2)/0.3/2)
	}
}

// A target that was never reached is not a number that somebody could compare.
func TestNeverReached(t *testing.T) {
	r := read(t, Options{Target: new(-6.5)}, several(t)...)
	for _, row := range r.Table("settings").Rows {
		if row[2].Text != "never" || !math.IsInf(row[2].Value, 1) || row[len(row)-1].Exact() != "" && row[0].Text != "bsp" {
			t.Errorf("got %v", row)
		}
	}
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"seconds_to_target": "inf"`) {
		t.Error("no infinite time in JSON")
	}
	if v := r.Verdict(); !strings.Contains(v, "No setting reached") {
		t.Errorf("verdict %q", v)
	}
}

// The emulated rate and the bytes of the busiest link bound the time.
func TestLinkSeconds(t *testing.T) {
	run := NewRun(telemetry.JobInfo{Ranks: 3, Settings: map[string]string{"emulate": "rate=10mbit,delay=1ms,pairs=0-1"}})
	if _, ok := run.linkSeconds(); ok {
		t.Error("a time without bytes")
	}
	run.Add(0, &telemetry.Event{Kind: "bytes", To: []int64{9e9, 1e6, 5e6}})
	run.Add(1, &telemetry.Event{Kind: "bytes", To: []int64{2.5e6, 0, 7e6}})
	if s, ok := run.linkSeconds(); !ok || s != 2 {
		t.Errorf("got %g, %v, want 2.5 MB at 10 Mbit/s: 2 s", s, ok)
	}
}
