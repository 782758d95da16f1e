package launcher

import (
	"net"
	"net/netip"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// meshAddrs returns the address of the mesh on each host of the links.
func meshAddrs(job *Job, links []*link) ([]string, error) {
	hosts := make([]meshHost, len(links))
	for i, l := range links {
		hosts[i] = meshHost{Host: l.host, hello: l.hello, local: l.local}
	}
	return chooseAddrs(job.Iface, hosts)
}

// meshHost is what is known of a host when its address is chosen.
type meshHost struct {
	Host
	hello agent.HelloInfo
	local bool
}

// chooseAddrs chooses the address at which the ranks of each host listen: what
// the hosts file says, else what iface picks, else the address that the remote
// shell has really reached, else the first address of an interface. A job on
// this machine alone stays on the loopback. It is pure.
func chooseAddrs(iface string, hosts []meshHost) ([]string, error) {
	addrs := make([]string, len(hosts))
	alone := true
	for _, h := range hosts {
		alone = alone && h.local
	}
	for i, h := range hosts {
		switch {
		case h.Addr != "":
			addrs[i] = h.Addr
		case iface != "":
			a, err := pickIface(iface, h.hello.Ifaces)
			if err != nil {
				return nil, errors.WithMessagef(err, "host %s", h.Name)
			}
			addrs[i] = a
		case alone:
			addrs[i] = "127.0.0.1"
		case h.local:
			addrs[i] = seenFrom(hosts)
		case usable(h.hello.Reached):
			addrs[i] = h.hello.Reached
		case usable(h.Name):
			addrs[i] = h.Name
		}
		if addrs[i] == "" {
			addrs[i] = firstAddr(h.hello.Ifaces)
		}
	}
	return addrs, nil
}

// usable reports whether s is an address that other hosts can reach.
func usable(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && !a.IsLoopback() && !a.IsUnspecified() && a.Zone() == ""
}

// seenFrom returns this machine's address as another host sees it.
func seenFrom(hosts []meshHost) string {
	for _, h := range hosts {
		if usable(h.hello.From) {
			return h.hello.From
		}
	}
	return ""
}

// pickIface returns the first address in the network, or of the interface.
func pickIface(iface string, ifaces []agent.Iface) (string, error) {
	network, err := netip.ParsePrefix(iface)
	for _, f := range ifaces {
		if err != nil && f.Name == iface {
			return f.IP, nil
		}
		if a, bad := netip.ParseAddr(f.IP); err == nil && bad == nil && network.Contains(a.Unmap()) {
			return f.IP, nil
		}
	}
	return "", errors.Errorf("-iface %s: no interface or address there fits", iface)
}

// firstAddr returns the first address that is not of the loopback, IPv4 by
// preference.
func firstAddr(ifaces []agent.Iface) string {
	best := ""
	for _, f := range ifaces {
		if !usable(f.IP) {
			continue
		}
		if net.ParseIP(f.IP).To4() != nil {
			return f.IP
		}
		if best == "" {
			best = f.IP
		}
	}
	if best == "" {
		return "127.0.0.1"
	}
	return best
}
