package bootstrap

import (
	"encoding/json"
	"testing"
)

func FuzzValidRecord(f *testing.F) {
	for _, s := range []string{
		`{"ev":"spans","t":1.5,"rank":3,"spans":"AQID"}`, `{"ev":"spans","spans":"A\"}`, `{"ev":"spans","spans":"`, `,"spans":"""}`,
		`{"ev":"spans","t":1.5,"rank":3,"spans":"AQID"}}`, `{"a":1,"spans":"AQID","spans":"\u0041"}`, `{"ev":"loss","v":1}`, `{`, `"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		if got, want := validRecord(record), json.Valid(record); got != want {
			t.Fatalf("%q: %v, want %v", record, got, want)
		}
	})
}
