package report

import goruntime "runtime"

// peakWriter takes everything and notes how much memory was in use meanwhile.
type peakWriter struct{ most uint64 }

func (p *peakWriter) Write(b []byte) (int, error) {
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	p.most = max(p.most, m.HeapAlloc)
	return len(b), nil
}
