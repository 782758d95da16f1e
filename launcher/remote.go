package launcher

import (
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// sshOptions returns what is given to ssh, not to other remote shells: never ask for a
// password, no terminal, and an answer in time.
func sshOptions() []string {
	return []string{"-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T"}
}

// remoteCommand returns the command that runs script with the host's POSIX
// shell, whatever the login shell there is.
func remoteCommand(shell []string, h Host, script string) []string {
	if len(shell) == 0 {
		shell = []string{"ssh"}
	}
	argv := append([]string(nil), shell...)
	if filepath.Base(shell[0]) == "ssh" {
		argv = append(argv, sshOptions()...)
	}
	if h.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(h.Port))
	}
	name := h.Name
	if h.User != "" {
		name = h.User + "@" + name
	}
	return append(argv, name, "exec /bin/sh -c "+quote(script))
}

// quote makes s one word of any shell. Double quotes and backslashes have a
// meaning that differs between shells, so scripts do without them at the risky
// places; a single quote is spelled out.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// bootMark starts the lines that the start script says; what a login shell
// prints before is skipped.
const bootMark = "sspurn-start "

// maxNoise bounds what a login shell may print before the start script runs.
const maxNoise = 1 << 20

// bootScript starts the agent on a host that may not have sspurn yet.
type bootScript struct {
	text string
	self string // path of this program; "" when it is not to be sent
	size int64
}

// newBootScript returns the script for the job's staging.
func newBootScript(job *Job) (*bootScript, error) {
	self := job.Self[0]
	rest := ""
	for _, a := range job.Self[1:] {
		rest += quote(a) + " "
	}
	if job.Stage == StageNever {
		return &bootScript{text: strings.NewReplacer("@SELF@", quote(self), "@REST@", rest, "@MARK@", bootMark).Replace(bootNever)}, nil
	}
	sum, err := agent.HashFile(self)
	if err != nil {
		return nil, errors.WithMessage(err, "stage sspurn")
	}
	st, err := os.Stat(self)
	if err != nil {
		return nil, errors.Wrap(err, "stage sspurn")
	}
	force := ""
	if job.Stage == StageAlways {
		force = "x"
	}
	text := strings.NewReplacer("@HASH@", sum, "@SIZE@", strconv.FormatInt(st.Size(), 10), "@FORCE@", force, "@REST@", rest, "@MARK@", bootMark).Replace(bootStage)
	return &bootScript{text: text, self: self, size: st.Size()}, nil
}

// bootNever looks for sspurn at the place where the launcher is, then in the PATH.
const bootNever = `echo @MARK@have $(uname -s) $(uname -m)
if [ -x @SELF@ ]; then exec @SELF@ @REST@agent; fi
exec sspurn @REST@agent`

// bootStage runs sspurn out of the cache, after asking for it when it is not
// there. The copy is checked and renamed into place, so that launches at the
// same time do not disturb each other; it is read by a program that takes no
// more than it should, and nothing follows before it has said so.
const bootStage = `d=${XDG_CACHE_HOME:-$HOME/.cache}/sspurn/@HASH@
f=$d/sspurn
if [ -x "$f" ] && [ -z "@FORCE@" ]; then
echo @MARK@have $(uname -s) $(uname -m)
else
echo @MARK@need $(uname -s) $(uname -m)
umask 077
mkdir -p "$d" || exit 1
t=$d/.part-$$
trap "rm -f $t" 0
head -c @SIZE@ > "$t" || exit 1
if command -v sha256sum > /dev/null; then
s=$(sha256sum < "$t")
if [ "${s%% *}" != @HASH@ ]; then echo "the copy of sspurn is damaged" >&2; exit 1; fi
elif [ $(wc -c < "$t") -ne @SIZE@ ]; then echo "the copy of sspurn is incomplete" >&2; exit 1; fi
chmod 700 "$t" && mv -f "$t" "$f" || exit 1
trap - 0
echo @MARK@done
fi
exec "$f" @REST@agent`

// run goes through the script with the host.
func (b *bootScript) run(l *link, log *logger) error {
	f, err := b.say(l)
	if err != nil {
		return err
	}
	if len(f) != 3 || f[0] != "have" && f[0] != "need" {
		return errors.Errorf("the start script said %q", f)
	}
	if err := samePlatform(f[1], f[2]); err != nil {
		return err
	}
	if f[0] == "have" {
		return nil
	}
	if b.self == "" {
		return errors.New("the start script asks for sspurn although staging is off")
	}
	log.printf("host %s: sends sspurn (%d bytes)", l.host.Name, b.size)
	if err := b.send(l); err != nil {
		return err
	}
	if f, err = b.say(l); err != nil {
		return err
	}
	if len(f) != 1 || f[0] != "done" {
		return errors.Errorf("the start script said %q", f)
	}
	return nil
}

// send writes this program to the script.
func (b *bootScript) send(l *link) error {
	self, err := os.Open(b.self)
	if err != nil {
		return errors.Wrap(err, "stage sspurn")
	}
	defer self.Close()
	n, err := io.Copy(&aliveWriter{l}, io.LimitReader(self, b.size))
	if err == nil && n != b.size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Wrap(err, "stage sspurn")
}

// aliveWriter writes to the agent's input and moves the deadline on with every
// part that it takes.
type aliveWriter struct{ link *link }

func (w *aliveWriter) Write(p []byte) (int, error) {
	n, err := w.link.stdin.Write(p)
	w.link.alive()
	return n, err
}

// say reads the next line of the script, byte by byte, because frames follow.
func (b *bootScript) say(l *link) ([]string, error) {
	var line []byte
	var c [1]byte
	for range maxNoise {
		if _, err := io.ReadFull(l.stdout, c[:]); err != nil {
			return nil, err
		}
		if c[0] != '\n' {
			line = append(line, c[0])
			continue
		}
		if text, ok := strings.CutPrefix(string(line), bootMark); ok {
			return strings.Fields(text), nil
		}
		line = line[:0]
	}
	return nil, errors.New("the login shell prints without end before it starts anything")
}

// samePlatform compares what uname says with what this program was built for.
func samePlatform(system, machine string) error {
	goos := strings.ToLower(system)
	arch := machine
	switch machine {
	case "x86_64", "amd64":
		arch = "amd64"
	case "aarch64", "arm64":
		arch = "arm64"
	case "i386", "i486", "i586", "i686":
		arch = "386"
	}
	if goos != goruntime.GOOS || arch != goruntime.GOARCH {
		return errors.Errorf("is %s/%s, but this sspurn and the program it copies are for %s/%s: build for that platform, install both there and use -stage never", goos, arch, goruntime.GOOS, goruntime.GOARCH)
	}
	return nil
}
