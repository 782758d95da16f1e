package runtimetest_test

import (
	"context"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

func ring(ctx context.Context, c *runtime.Comm) error {
	n := c.Size()
	var in [1]int64
	_, err := runtime.SendRecv(ctx, c, (c.Rank()+1)%n, []int64{int64(c.Rank())}, (c.Rank()+n-1)%n, in[:], 0)
	return err
}

func TestSPMD(t *testing.T) { runtimetest.SPMD(t, 3, ring) }

func TestTCP(t *testing.T) { runtimetest.TCP(t, 3, ring) }

func TestNetworks(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		t.Run(net.Name, func(t *testing.T) { net.Run(t, 3, ring) })
	}
}
