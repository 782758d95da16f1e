package conformance_test

import (
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/conformance"
)

func TestPointToPoint(t *testing.T) {
	for _, net := range []struct {
		name  string
		start conformance.Start
	}{
		{"mem", runtimetest.SPMD},
		{"tcp", runtimetest.TCP},
	} {
		t.Run("net="+net.name, func(t *testing.T) { conformance.PointToPoint(t, net.start) })
	}
}
