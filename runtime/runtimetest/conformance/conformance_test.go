package conformance_test

import (
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/conformance"
)

func TestPointToPoint(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		t.Run("net="+net.Name, func(t *testing.T) { conformance.PointToPoint(t, net.Run) })
	}
}

func TestOneSided(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		t.Run("net="+net.Name, func(t *testing.T) { conformance.OneSided(t, net.Run) })
	}
}
