package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// launch runs a command within a limit and returns its standard output and how
// long it took. What it leaves behind is killed: MPI launchers hang at times, and
// leave ranks.
func launch(ctx context.Context, limit time.Duration, words, env []string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no end in %v", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nobody is left
		killOrphans()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", took, fmt.Errorf("%s: %w%s", strings.Join(words, " "), err, lastLines(log.String()))
	}
	return out.String(), took, nil
}

// lastLines is the end of what a failed command said.
func lastLines(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if lines[0] == "" {
		return ""
	}
	return "\n\t" + strings.Join(lines[max(0, len(lines)-5):], "\n\t")
}
