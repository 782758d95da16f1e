package launcher

import "testing"

func TestOnDemand(t *testing.T) {
	for _, tt := range []struct {
		ask   Switch
		ranks int
		want  bool
	}{{"", 64, false}, {Auto, 64, false}, {Auto, 65, true}, {Off, 1000, false}, {On, 2, true}} {
		if got := (&Job{OnDemand: tt.ask}).onDemand(tt.ranks); got != tt.want {
			t.Errorf("-on-demand %s, %d ranks: %v", tt.ask, tt.ranks, got)
		}
	}
}
