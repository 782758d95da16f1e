package collectives

// ShortTune has Tune measure less, for tests.
func ShortTune() (restore func()) {
	all := tuneLengths
	tuneLengths = []int{2, 2048}
	return func() { tuneLengths = all }
}

// Alone is what Tune makes of links of hosts with too few cores.
var Alone = alone
