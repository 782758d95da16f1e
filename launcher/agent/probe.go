package agent

import (
	"net"
	"sync"
	"time"

	"github.com/pkg/errors"
)

// dialWithin bounds one connection of a test.
const dialWithin = 3 * time.Second

// prober lets others try to connect to this host.
type prober struct {
	listener net.Listener
	wg       sync.WaitGroup
}

// listen opens a port on the address; connections are accepted and closed.
func (p *prober) listen(ip string) ListeningInfo {
	p.close()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return ListeningInfo{Error: errors.Wrap(err, "test").Error()}
	}
	p.listener = l
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // that it came is all that counts
		}
	})
	return ListeningInfo{Addr: l.Addr().String()}
}

func (p *prober) close() {
	if p.listener != nil {
		_ = p.listener.Close() // it holds nothing
		p.wg.Wait()
		p.listener = nil
	}
}

// dial connects to all addresses at once.
func dial(info DialInfo) DialedInfo {
	answer := DialedInfo{Errors: make([]string, len(info.Addrs))}
	var wg sync.WaitGroup
	for i, addr := range info.Addrs {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", addr, dialWithin)
			if err != nil {
				answer.Errors[i] = err.Error()
				return
			}
			_ = c.Close() // that it came about is all that counts
		})
	}
	wg.Wait()
	return answer
}
