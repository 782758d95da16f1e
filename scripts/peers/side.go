package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// A side is one of those that are compared.
type side struct {
	name string
	// command measures a group: its words, and what it adds to the environment.
	// Without words the side can not do that.
	command func(g group, o options) (words, env []string)
}

//go:embed mpi/peer.c
var peerSource []byte

// findSides returns sspurn, and the MPI libraries for which a compiler and a
// launcher are there, with the C program compiled into dir.
func findSides(ctx context.Context, o options, dir string) ([]side, error) {
	ours, err := findOurs(ctx, o)
	if err != nil {
		return nil, err
	}
	sides := []side{ours}
	source := filepath.Join(dir, "peer.c")
	if err := os.WriteFile(source, peerSource, 0o666); err != nil {
		return nil, err
	}
	for _, lib := range []struct {
		name, compiler, launcher string
		command                  func(launcher, program string) func(g group, o options) (words, env []string)
	}{
		{"Open MPI", "mpicc.openmpi", "mpirun.openmpi", openMPI},
		{"MPICH", "mpicc.mpich", "mpiexec.mpich", mpich},
	} {
		compiler, err1 := exec.LookPath(lib.compiler)
		launcher, err2 := exec.LookPath(lib.launcher)
		if err1 != nil || err2 != nil {
			continue
		}
		program := filepath.Join(dir, "peer."+strings.TrimPrefix(lib.compiler, "mpicc."))
		cmd := exec.CommandContext(ctx, compiler, "-O2", "-o", program, source)
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %v\n%s", cmd, err, text)
		}
		sides = append(sides, side{lib.name, lib.command(launcher, program)})
	}
	return sides, nil
}

// findOurs looks at what the launcher can do.
func findOurs(ctx context.Context, o options) (side, error) {
	sspurn, bench := filepath.Join(o.bin, "sspurn"), filepath.Join(o.bin, "bench")
	if _, err := os.Stat(bench); err != nil {
		return side{}, fmt.Errorf("%w: make build", err)
	}
	help, err := exec.CommandContext(ctx, sspurn, "-help").CombinedOutput()
	if err != nil {
		return side{}, fmt.Errorf("%s -help: %v\n%s", sspurn, err, help)
	}
	ops, err := exec.CommandContext(ctx, bench, "-help").CombinedOutput()
	if err != nil {
		return side{}, fmt.Errorf("%s -help: %v\n%s", bench, err, ops)
	}
	return side{"sspurn", func(g group, o options) (words, env []string) {
		words = append(words, sspurn, "-n", strconv.Itoa(g.ranks), "-record", "off", "-progress", "off")
		if o.bind {
			words = append(words, "-bind", "core")
		}
		if strings.Contains(string(help), "-shm") {
			words = append(words, "-shm="+map[string]string{tcp: "off", shm: "on"}[g.transport])
		} else if g.transport == shm {
			return nil, nil
		}
		if !strings.Contains(string(ops), "\n  "+g.op+" ") {
			return nil, nil
		}
		words = append(words, bench)
		words = append(words, g.flags(o.time.String(), (o.time/10).String())...)
		return append(words, "-format", "csv"), nil
	}}, nil
}

// flags are those that bench and the C program share.
func (g group) flags(time, warmup string) []string {
	sizes := make([]string, len(g.sizes))
	for i, n := range g.sizes {
		sizes[i] = strconv.Itoa(n)
	}
	return []string{"-op", g.op, "-sizes", strings.Join(sizes, ","), "-time", time, "-warmup", warmup, "-iters", "5"}
}

// peerFlags are the flags of the C program, which takes seconds.
func peerFlags(g group, o options) []string {
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }
	return g.flags(seconds(o.time.Seconds()), seconds(o.time.Seconds()/10))
}

func openMPI(launcher, program string) func(g group, o options) (words, env []string) {
	return func(g group, o options) (words, env []string) {
		words = append(words, launcher, "--oversubscribe", "-np", strconv.Itoa(g.ranks))
		if o.bind { // more than one to a core, too
			words = append(words, "--bind-to", "core:overload-allowed")
		}
		if g.transport == tcp {
			// Without osc pt2pt, windows on one host are shared memory whatever btl says.
			words = append(words, "--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "osc", "pt2pt")
		}
		words = append(words, program)
		return append(words, peerFlags(g, o)...), []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}
	}
}

func mpich(launcher, program string) func(g group, o options) (words, env []string) {
	return func(g group, o options) (words, env []string) {
		if g.transport == tcp {
			env = append(env, "MPIR_CVAR_NOLOCAL=1", "UCX_TLS=tcp,self")
		}
		words = append(words, launcher, "-n", strconv.Itoa(g.ranks))
		if o.bind {
			words = append(words, "-bind-to", "core")
		}
		words = append(words, program)
		return append(words, peerFlags(g, o)...), env
	}
}
