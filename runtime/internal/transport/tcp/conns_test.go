//go:build !linux || portable

package tcp

import "testing"

// checkPairs checks that both ends of each pair use the same connection.
func checkPairs(t *testing.T, all []*node) {
	t.Helper()
	for a := range all {
		for b := range a {
			x, y := all[a].tr.peers[b].conn, all[b].tr.peers[a].conn
			if here, there := x.LocalAddr().String(), y.RemoteAddr().String(); here != there {
				t.Errorf("ranks %d and %d have a connection each: %s and %s", a, b, here, there)
			}
		}
	}
}
