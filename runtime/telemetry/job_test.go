package telemetry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestWriteJobReplaces(t *testing.T) {
	dir := t.TempDir()
	info := JobInfo{
		Job: "j", Program: "app", Args: []string{"-x", "1"}, Ranks: 3,
		Hosts:    []HostInfo{{Name: "a", Addr: "10.0.0.1", Ranks: []int{0, 1}}, {Name: "b", Ranks: []int{2}}},
		Settings: map[string]string{"straggle": "rotate"},
		Start:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, ended := range []bool{false, true} {
		info.Ended = ended
		if err := WriteJob(dir, info); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, JobFile))
		if err != nil {
			t.Fatal(err)
		}
		var got JobInfo
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, info) {
			t.Errorf("got %+v, want %+v", got, info)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files %v (%v), want only %s", left, err, JobFile)
	}
}

func TestWriteJobNamesTheFile(t *testing.T) {
	if err := WriteJob(filepath.Join(t.TempDir(), "absent"), JobInfo{}); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}
