package collectives

import "github.com/sspurn/sspurn/collectives/schedule"

// topology is who a rank's neighbours are.
type topology struct{}

func (t *topology) part(a *args) *schedule.Schedule { return nil }
