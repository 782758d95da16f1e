//go:build linux

package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
)

const hostKeyName = "ssh_host_ed25519_key"

// writeSSH makes a key for the launcher and one for each host, and the files
// with which ssh reaches the hosts.
func (t *Testbed) writeSSH(ctx context.Context) error {
	if err := makeKey(ctx, filepath.Join(t.dir, "id")); err != nil {
		return err
	}
	var config, known, hosts strings.Builder
	for _, h := range t.allHosts() {
		if err := os.Mkdir(filepath.Join(t.dir, h.Name), 0o755); err != nil {
			return errors.Wrap(err, "ssh files")
		}
	}
	for _, h := range t.hosts {
		key := t.hostKey(h)
		if err := makeKey(ctx, key); err != nil {
			return err
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			return errors.Wrap(err, "ssh files")
		}
		fmt.Fprintf(&config, "Host %s\n\tHostName %s\n", h.Name, h.Addr)
		fmt.Fprintf(&known, "%s,%s %s", h.Name, h.Addr, public)
		fmt.Fprintln(&hosts, h.Name)
	}
	fmt.Fprintf(&config, "Host *\n\tUser root\n\tIdentityFile %q\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %q\n", filepath.Join(t.dir, "id"), filepath.Join(t.dir, "known_hosts"))
	fmt.Fprint(&config, "\tGlobalKnownHostsFile /dev/null\n\tStrictHostKeyChecking yes\n\tBatchMode yes\n\tConnectTimeout 5\n\tLogLevel ERROR\n")
	for name, content := range map[string]string{"ssh_config": config.String(), "known_hosts": known.String(), "hosts": hosts.String()} {
		if err := os.WriteFile(filepath.Join(t.dir, name), []byte(content), 0o644); err != nil {
			return errors.Wrap(err, "ssh files")
		}
	}
	return nil
}

func (t *Testbed) hostKey(h *Host) string { return filepath.Join(t.dir, h.Name, hostKeyName) }

// sshdFiles returns the files that sshd needs in the host, by path.
func (t *Testbed) sshdFiles(h *Host, sshd string) (map[string]string, error) {
	key, err := os.ReadFile(t.hostKey(h))
	if err != nil {
		return nil, errors.Wrap(err, "ssh files")
	}
	authorized, err := os.ReadFile(filepath.Join(t.dir, "id.pub"))
	if err != nil {
		return nil, errors.Wrap(err, "ssh files")
	}
	config := "Port 22\nListenAddress 0.0.0.0\nHostKey /etc/ssh/" + hostKeyName + "\n" +
		"AuthorizedKeysFile /root/.ssh/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n" +
		"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nUseDNS no\n" +
		"MaxStartups 100\nLogLevel INFO\n"
	if knowsPenalties(sshd) {
		// Jobs that are killed while they connect look like an attack, and all
		// come from one address.
		config += "PerSourcePenalties no\n"
	}
	return map[string]string{
		"/etc/ssh/" + hostKeyName:    string(key),
		"/root/.ssh/authorized_keys": string(authorized),
		"/etc/ssh/sshd_config":       config,
	}, nil
}

// knowsPenalties reports whether sshd has the option PerSourcePenalties (since
// OpenSSH 9.8). With -t it fails here for other reasons too, so the message
// decides, not the status.
func knowsPenalties(sshd string) bool {
	out, _ := exec.Command(sshd, "-t", "-f", "/dev/null", "-o", "PerSourcePenalties=no").CombinedOutput()
	return !strings.Contains(string(out), "Bad configuration option")
}

// etcHosts returns the hosts' names and addresses, the same for everybody.
func (t *Testbed) etcHosts() string {
	var b strings.Builder
	fmt.Fprintln(&b, "127.0.0.1 localhost")
	for _, h := range t.allHosts() {
		fmt.Fprintln(&b, h.Addr, h.Name)
	}
	return b.String()
}

func makeKey(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", path).CombinedOutput()
	return errors.Wrapf(err, "ssh-keygen: %s", strings.TrimSpace(string(out)))
}
