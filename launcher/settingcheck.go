package launcher

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// checkWithin is how long a program may take to look at its arguments; what it
// thinks of them shows in the runs otherwise.
const checkWithin = 10 * time.Second

// checkSettings has the program look at its arguments under each setting, so that a
// mistake is found before the first run and not when its turn comes. Only programs
// that are built with the runtime know that this is all that they are started for.
func (c *Comparison) checkSettings(ctx context.Context, program string, std Streams) error {
	if !knowsChecks(program) {
		return nil
	}
	taps := newTap(std.Signals)
	defer taps.close()
	for _, t := range c.Plan()[:len(c.Settings)] {
		wrong := c.checkSetting(ctx, program, &t)
		if sig := taps.interrupted(); sig != nil {
			return &Failure{Code: exitSignal + int(sig.(syscall.Signal)), Cause: "interrupted by " + sig.String() + " before the first run"}
		}
		if wrong != "" {
			return errors.Errorf("%s with -sync %s: %s", c.Job.Program, t.Setting, wrong)
		}
	}
	return nil
}

// knowsChecks reports whether a file is a program with the runtime of this module
// in it.
func knowsChecks(program string) bool {
	const module = "github.com/sspurn/sspurn"
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	if info.Main.Path == module {
		return true
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return true
		}
	}
	return false
}

// checkSetting returns what the program finds wrong with its arguments, "" for
// nothing, also when it does not say.
func (c *Comparison) checkSetting(ctx context.Context, program string, t *Trial) string {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	args, err := c.arguments(t)
	if err != nil {
		return ""
	}
	read, write, err := os.Pipe()
	if err != nil {
		return ""
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = c.Job.Program
	cmd.Dir = c.Job.Dir
	cmd.Env = append(slices.Concat(os.Environ(), c.Job.Env), bootstrap.EnvCheck+"=3")
	cmd.ExtraFiles = []*os.File{write}
	cmd.WaitDelay = time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	err = cmd.Start()
	_ = write.Close() // of this process
	if err != nil {
		return "" // not a program of this machine, say
	}
	stop := context.AfterFunc(ctx, func() { _ = read.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said, _ := bufio.NewReader(read).ReadBytes('\n') // what is cut off is not whole
	wrong, whole := bootstrap.Checked(said)
	if whole {
		cancel() // it may do something else now
	}
	err = cmd.Wait()
	if whole {
		return wrong
	}
	// It has ended before it joined: it parses its own flags.
	if e, ok := stderrors.AsType[*exec.ExitError](err); ok && e.Exited() {
		text, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		if text == "" {
			text = e.Error()
		}
		return text
	}
	return ""
}

// arguments are those of the program in a run.
func (c *Comparison) arguments(t *Trial) ([]string, error) {
	dir, err := filepath.Abs(t.Dir)
	if err != nil {
		return nil, errors.Wrap(err, "run directory")
	}
	args := []string{"-sync=" + t.Setting}
	for _, a := range c.Job.Args {
		args = append(args, strings.ReplaceAll(a, dirMark, dir))
	}
	return args, nil
}
