package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// coresMain is a rank that says what cores there are.
func coresMain(cfg bootstrap.Config) int {
	err := runtime.Config(cfg).Run(context.Background(), func(_ context.Context, c *runtime.Comm) error {
		fmt.Printf("cores of the host %d, of this process %d, GOMAXPROCS %d\n", c.Cores(c.Rank()), goruntime.NumCPU(), goruntime.GOMAXPROCS(0))
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestBindRefused: what is wrong with -bind is said before anything is started.
func TestBindRefused(t *testing.T) {
	dir := t.TempDir()
	hello := filepath.Join(dir, "hello")
	o := agent.NewOutbox()
	o.SendJSON(agent.Hello, 0, agent.HelloInfo{Version: agent.Version, OS: "darwin", NoBind: "-bind core: not on darwin"})
	o.Close()
	f, err := os.Create(hello)
	if err == nil {
		err = o.Write(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	shell := filepath.Join(dir, "shell") // leads to an agent of another system
	script := fmt.Sprintf("#!/bin/sh\necho sspurn-start have $(uname -s) $(uname -m)\necho a warning of ssh >&2\ncat %s\nexec cat > /dev/null\n", hello)
	if err := os.WriteFile(shell, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		text string
	}{
		{[]string{"-bind", "socket", "true"}, `-bind "socket": want none or core`},
		{[]string{"-bind", "", "true"}, `-bind "": want none or core`},
		{[]string{"compare", "-bind", "all", "true"}, `-bind "all": want none or core`},
		{[]string{"-bind", "core", "-ssh", shell, "-stage", "never", "-host", "apple:2", "echo", "started"}, "sspurn: host apple: -bind core: not on darwin\n"},
	} {
		l := start(t, nil, tt.args...)
		l.expect(125, tt.text)
		if n := strings.Count(l.stderr.String(), "\n"); n != 1 || l.stdout.String() != "" {
			t.Errorf("%q: want one line, got %s%s", tt.args, l.stdout.String(), l.stderr.String())
		}
	}
	l := start(t, nil, "check", "-bind", "core", "-ssh", shell, "-stage", "never", "-host", "apple:2")
	l.expect(125, "1 of 1 hosts can not be used")
	if got := l.stdout.String(); got != "apple: -bind core: not on darwin\n" {
		t.Errorf("got %q", got)
	}
}

// TestBindHosts: hosts says that ranks will be bound; to what is known there only.
func TestBindHosts(t *testing.T) {
	for _, bind := range []string{"core", "none"} {
		l := start(t, nil, "hosts", "-host", "a:2,b", "-bind", bind)
		l.expect(0)
		if got := strings.Contains(l.stdout.String(), "\nranks will be bound to cores\n"); got != (bind == "core") {
			t.Errorf("-bind %s: %s", bind, l.stdout.String())
		}
	}
}
