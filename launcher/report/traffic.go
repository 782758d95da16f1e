package report

// classes are the classes of bytes that are shown, in order. "other" is what the
// store did not send: collectives, the app's own messages, headers.
var classes = [...]string{"update", "fetch", "push", "control", "other"}

// Bytes returns what all ranks sent, by class.
func (r *Run) Bytes() map[string]int64 {
	all := map[string]int64{}
	for i := range r.ranks {
		for class, n := range r.ranks[i].bytes {
			all[class] += n
		}
	}
	all["other"] = max(0, all["wire"]-all["update"]-all["fetch"]-all["push"]-all["control"])
	return all
}

// Sent returns the bytes that all ranks sent.
func (r *Run) Sent() int64 { return sent(r.Bytes()) }

// sent is what went over the wire, or the sum of the store's classes when that
// was not recorded.
func sent(bytes map[string]int64) int64 {
	if n, ok := bytes["wire"]; ok {
		return n
	}
	return bytes["update"] + bytes["fetch"] + bytes["push"] + bytes["control"]
}

// Compression returns how many times longer the store's messages were before
// they were compressed; ok is false when there were none.
func (r *Run) Compression() (ratio float64, ok bool) {
	b := r.Bytes()
	travelled := b["update"] + b["fetch"] + b["push"]
	if travelled == 0 || b["raw"] == 0 {
		return 0, false
	}
	return float64(b["raw"]) / float64(travelled), true
}

// Filtered returns how many times filters kept back a row's updates when their
// clock ended, and about how many bytes that and rounding kept from leaving.
func (r *Run) Filtered() (held, saved int64) {
	for i := range r.ranks {
		for _, e := range r.ranks[i].workers {
			held += e.Held
			saved += e.Saved
		}
	}
	return held, saved
}
