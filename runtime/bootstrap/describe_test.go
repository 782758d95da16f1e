package bootstrap

import "testing"

func TestDescribeEmulation(t *testing.T) {
	tests := [][2]string{
		{"", ""},
		{"rate=1gbit,delay=1ms;pairs=0-3,rate=10mbit,delay=20ms,jitter=2ms,down=5s+2s",
			"every link: 1 Gbit/s, 1 ms; link 0–3: 10 Mbit/s, 20 ms ± 2 ms, down from 5 s for 2 s"},
		{"rate=1.5kbit", "every link: 1.5 kbit/s"},
		{"rate=9bit,delay=50us", "every link: 9 bit/s, 50 µs"},
		{"down=0s+0.5s/1m", "every link: down from 0 s for 500 ms, again every 60 s"},
		{"delay=500us,pairs=2-*", "links of rank 2: 0.5 ms"},
		{"delay=1.5s,pairs=2-*,0-1", "links 2–any, 0–1: 1.5 s"},
		{"delay=7ns;pairs=0-1,delay=0s", "every link: 7 ns; link 0–1: not slowed"},
		{"delay=1ms,pairs=0-1,0-2,0-3,0-4,0-5,0-6,0-7,0-8,0-9,1-9", "links 0–1, 0–2, 0–3, 0–4, 0–5, 0–6, 0–7, 0–8, and 2 more: 1 ms"},
	}
	for _, test := range tests {
		s, err := ParseEmulation(test[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Describe(); got != test[1] {
			t.Errorf("%q is described as %q, want %q", test[0], got, test[1])
		}
	}
}
