// Package apps is what the programs in its folders share: the command line, the
// readers that divide a file over the ranks, the split of data into a training
// and a test part, progress and loss on the way, and the result line at the
// end. A program is an [App]; its main is
//
//	func main() { os.Exit(apps.Main(app(), os.Args)) }
package apps

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// App describes a program. Flags may write through their Destination into
// variables that Run reads.
type App struct {
	Name     string     // also the first word of every line on standard error
	Summary  string     // one line
	Text     string     // what to know before using it; paragraphs of the help
	Examples []string   // command lines of the help
	Flags    []cli.Flag // the program's own, besides the shared ones
	Without  []string   // shared flags that mean nothing here
	Defaults Options    // defaults of the shared flags; zero fields keep the general ones

	// Check looks at the flags before the job is joined; an error is the
	// user's fault. May be nil.
	Check func(o *Options) error

	// Run is the program, on every rank.
	Run func(ctx context.Context, job *Job) error
}

// Job is a run of an App on one rank.
type Job struct {
	Options
	App  string
	Comm *runtime.Comm

	stdout, stderr io.Writer // used by rank 0
}

// NewJob returns a job for a program that does not come from [Main], a test
// say. Rank 0 writes its result to stdout and its progress to stderr.
func NewJob(name string, o Options, c *runtime.Comm, stdout, stderr io.Writer) *Job {
	return &Job{Options: o, App: name, Comm: c, stdout: stdout, stderr: stderr}
}

// Stdout is where rank 0 writes what comes before the result.
func (j *Job) Stdout() io.Writer { return j.stdout }

// Main runs the program with the command line args (os.Args) and returns its
// exit status: 0, or 1 after an error. An error is one line in total, whatever
// the number of ranks: with a launcher the launcher prints it, for the rank
// that reported it; without one Main does.
func Main(app App, args []string) int {
	return app.main(args, os.LookupEnv, os.Stdout, os.Stderr)
}

func (a *App) main(args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	_, launched := lookup(bootstrap.EnvControl)
	rank := 0
	if text, ok := lookup(bootstrap.EnvRank); ok {
		rank, _ = strconv.Atoi(text) // only decides who speaks
	}
	o, help, err := a.parse(args)
	if help {
		if rank == 0 {
			a.help(stdout)
		}
		return 0
	}
	if err == nil && a.Check != nil {
		err = a.Check(&o)
	}
	if tell, ok := bootstrap.Checking(lookup); ok {
		tell(err)
		return 0
	}
	if err == nil && rank == 0 && o.Out != "" { // the file is rank 0's; other hosts need not have its folder
		err = CheckWritable(o.Out)
	}
	bad := err
	err = runtime.Run(context.Background(), func(ctx context.Context, c *runtime.Comm) error {
		if bad != nil {
			return report(ctx, c, &InputError{Err: bad})
		}
		j := NewJob(a.Name, o, c, stdout, stderr)
		j.settle(!slices.Contains(a.Without, "sync"))
		return a.Run(ctx, j)
	})
	if err == nil {
		return 0
	}
	if !launched {
		fmt.Fprintf(stderr, "%s: %s\n", a.Name, err)
	}
	return 1
}

// report ends a job with an error that every rank has: rank 0 returns it, and
// the others wait for the end that this brings.
func report(ctx context.Context, c *runtime.Comm, err error) error {
	if c.Rank() == 0 {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// usage is an error of the command line that says where to read about it.
func usage(name string, err error) error {
	return stderrors.New(err.Error() + " (" + name + " -help lists the flags)")
}
