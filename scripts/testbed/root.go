//go:build linux

package testbed

import (
	stderrors "errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// detachMounts keeps what this process mounts from appearing elsewhere.
func detachMounts() error {
	err := makePrivate()
	if !stderrors.Is(err, unix.EINVAL) {
		return errors.Wrap(err, "detach mounts")
	}
	// The root is a plain folder that somebody chose with chroot, and the mount
	// that holds it is out of sight. A thread that enters its own mount
	// namespace once more stands at that namespace's true root.
	return errors.Wrap(onOwnThread(func() error {
		self, err := os.Open("/proc/self/ns/mnt")
		if err != nil {
			return err
		}
		defer self.Close()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(int(self.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
		return makePrivate()
	}), "detach mounts")
}

func makePrivate() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }

// patchRoot changes what the launcher's host must see differently from this
// machine: its processes and the names of the hosts.
func patchRoot(c *initConfig) error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return errors.Wrap(err, "mount /proc")
	}
	// The file behind the mount needs no name: a descriptor is enough.
	f, err := os.CreateTemp("", tempPrefix+"names-*")
	if err != nil {
		return errors.Wrap(err, "names of hosts")
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if _, err := f.WriteString(c.Hosts); err != nil {
		return errors.Wrap(err, "names of hosts")
	}
	if err := f.Chmod(0o644); err != nil {
		return errors.Wrap(err, "names of hosts")
	}
	return errors.Wrap(unix.Mount(f.Name(), "/etc/hosts", "", unix.MS_BIND, ""), "names of hosts")
}

// rootBuilder fills a folder with a host's file system. After the first error
// it does nothing.
type rootBuilder struct {
	root string
	err  error
}

// buildRoot makes the host's file system and moves this process into it: the
// programs of this machine read-only, and everything that a program may write
// empty and the host's own.
func buildRoot(c *initConfig) error {
	b := &rootBuilder{root: c.Root}
	b.mount("tmpfs", "/", "tmpfs", 0, "mode=755,size=2g")
	for _, dir := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		b.mirror(dir)
	}
	for _, dir := range []string{"/etc/ssh", "/run/sshd", "/var/empty", "/var/log", "/home", "/sys"} {
		b.mkdir(dir, 0o755)
	}
	b.mkdir("/root", 0o700)
	b.mkdir("/root/.ssh", 0o700)
	b.mkdir("/tmp", 0o777|os.ModeSticky)
	b.mkdir("/var/tmp", 0o777|os.ModeSticky)
	for _, path := range []string{"/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"} {
		b.mirror(path)
	}
	b.mkdir("/proc", 0o755)
	b.mount("proc", "/proc", "proc", 0, "")
	b.mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, "")
	b.devices()
	b.file("/etc/hosts", c.Hosts)
	b.file("/etc/hostname", c.Name+"\n")
	b.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
	b.file("/etc/passwd", "root:*:0:0:root:/root:/bin/sh\nsshd:*:101:65534::/run/sshd:/usr/sbin/nologin\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
	b.file("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")
	for path, content := range c.Files {
		b.file(path, content)
	}
	for _, path := range c.Share {
		b.mirror(path)
	}
	if b.err != nil {
		return b.err
	}
	if err := unix.Chroot(c.Root); err != nil {
		return errors.Wrap(err, "enter "+c.Root)
	}
	return errors.Wrap(os.Chdir("/"), "enter "+c.Root)
}

func (b *rootBuilder) at(path string) string { return filepath.Join(b.root, path) }

func (b *rootBuilder) do(what string, err error) {
	if b.err == nil && err != nil {
		b.err = errors.Wrap(err, what)
	}
}

func (b *rootBuilder) mount(source, path, kind string, flags uintptr, data string) {
	if b.err == nil {
		b.do("mount "+path, unix.Mount(source, b.at(path), kind, flags, data))
	}
}

func (b *rootBuilder) mkdir(path string, mode os.FileMode) {
	if b.err != nil {
		return
	}
	b.do("make folder", os.MkdirAll(b.at(path), 0o755))
	if b.err == nil {
		b.do("make folder", os.Chmod(b.at(path), mode)) // past the umask, with the sticky bit
	}
}

// file writes a file that only root reads: that is right for keys and does no
// harm to the others.
func (b *rootBuilder) file(path, content string) {
	if b.err != nil {
		return
	}
	mode := os.FileMode(0o644)
	if filepath.Base(path) == hostKeyName {
		mode = 0o600
	}
	b.do("write "+path, os.WriteFile(b.at(path), []byte(content), mode))
}

// mirror shows a file or folder of this machine at the same place, read-only;
// a symbolic link is copied, and what this machine does not have is left out.
func (b *rootBuilder) mirror(path string) {
	if b.err != nil {
		return
	}
	info, err := os.Lstat(path)
	if stderrors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		b.do("show "+path, err)
		return
	}
	b.do("show "+path, os.MkdirAll(filepath.Dir(b.at(path)), 0o755))
	switch {
	case b.err != nil:
		return
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(path)
		b.do("show "+path, err)
		if b.err == nil {
			b.do("show "+path, os.Symlink(target, b.at(path)))
		}
		return
	case info.IsDir():
		b.do("show "+path, os.MkdirAll(b.at(path), 0o755))
	default:
		b.do("show "+path, os.WriteFile(b.at(path), nil, 0o644))
	}
	b.mount(path, path, "", unix.MS_BIND, "")
	b.mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// devices makes a minimal /dev.
func (b *rootBuilder) devices() {
	b.mkdir("/dev/pts", 0o755)
	b.mkdir("/dev/shm", 0o777|os.ModeSticky)
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := "/dev/" + name
		if b.err != nil {
			return
		}
		b.do("make "+path, os.WriteFile(b.at(path), nil, 0o666))
		b.mount(path, path, "", unix.MS_BIND, "")
	}
	b.mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
	links := [][2]string{{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		links = append(links, [2]string{fmt.Sprint("/proc/self/fd/", i), name})
	}
	for _, l := range links {
		if b.err == nil {
			b.do("make /dev/"+l[1], os.Symlink(l[0], b.at("/dev/"+l[1])))
		}
	}
}
