package mem_test

import (
	"testing"
	"testing/synctest"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/mem"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
)

func TestConformance(t *testing.T) {
	connect := func(t *testing.T, recv []transport.Receiver) []transport.Transport {
		net := mem.New(len(recv))
		ts := make([]transport.Transport, len(recv))
		for i, r := range recv {
			ts[i] = net.Join(i, r)
		}
		return ts
	}
	transporttest.Run(t, transporttest.Suite{Connect: connect, In: synctest.Test})
}
