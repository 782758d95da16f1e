package report

// Split says where workers spent their time, in seconds.
type Split struct {
	Compute  float64 // outside the store, without Straggle
	Straggle float64 // slept for -straggle
	Gate     float64 // waited for workers that are behind
	Miss     float64 // waited for rows
	Flush    float64 // handed over updates
}

// Total is the sum of the parts.
func (s Split) Total() float64 { return s.Compute + s.Straggle + s.Gate + s.Miss + s.Flush }

// Waited is the part in which workers waited, as a share of the total.
func (s Split) Waited() float64 { return share(s.Gate+s.Miss+s.Flush, s.Total()) }

func (s *Split) add(o Split) {
	s.Compute += o.Compute
	s.Straggle += o.Straggle
	s.Gate += o.Gate
	s.Miss += o.Miss
	s.Flush += o.Flush
}

// parts are the parts in the order in which they are shown.
func (s Split) parts() [5]float64 { return [5]float64{s.Compute, s.Straggle, s.Gate, s.Miss, s.Flush} }

// share is part of whole, 0 of nothing.
func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
