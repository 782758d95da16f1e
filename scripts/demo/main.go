// Demo finds the topics of the comments in Go's own standard library under four
// settings of the store, and compares them. It expects bin/sspurn and bin/lda;
// "make demo" builds them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/scripts/demo/corpus"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	d := demo{w: stdout, stderr: stderr, topics: 20}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&d.bin, "bin", "bin", "`folder` of sspurn and lda")
	flags.StringVar(&d.out, "out", "out", "`folder` for everything that the demo writes")
	flags.StringVar(&d.src, "src", "", "sources of Go (default: those of the go command)")
	flags.IntVar(&d.passes, "passes", 100, "passes over the corpus under each setting")
	flags.IntVar(&d.ranks, "n", 4, "ranks")
	flags.StringVar(&d.straggle, "straggle", "random,p=0.1,delay=80ms", "how ranks are slowed down; empty: not at all")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if f, ok := stderr.(*os.File); ok {
		info, err := f.Stat()
		d.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	err := d.run(ctx)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "demo: interrupted; all ranks have ended")
		return 130
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

// demo is one run of the program.
type demo struct {
	bin, out, src  string
	passes, ranks  int
	topics         int
	straggle       string
	live           bool // errors go to a terminal
	w, stderr      io.Writer
	start          time.Time
	docword, vocab string // files of the corpus
}

// settings are the values of -sync that are compared.
func settings() []string { return []string{"bsp", "ssp:3", "essp:3", "async"} }

func (d *demo) run(ctx context.Context) error {
	d.start = time.Now()
	for _, name := range []string{"sspurn", "lda"} {
		if _, err := os.Stat(filepath.Join(d.bin, name)); err != nil {
			return errors.Errorf("%s is not there: \"make build\" makes it", filepath.Join(d.bin, name))
		}
	}
	c, err := d.corpus(ctx)
	if err != nil {
		return err
	}
	d.explain()
	if err := d.compare(ctx); err != nil {
		return err
	}
	r, err := d.report()
	if err != nil {
		return err
	}
	best, _ := r.Best()
	enough, err := d.topicsOf(c, r.Settings[best].Name)
	fmt.Fprintf(d.w, "\npage: %s (open it in a browser)\nplot: %s\n%.0f s in all\n", filepath.Join(d.out, "report.html"), filepath.Join(d.out, "report.png"), time.Since(d.start).Seconds())
	if err == nil && !enough {
		err = errors.New("the topics do not follow the packages: expected at least twice the agreement of shuffled labels")
	}
	return err
}

// corpus makes the bag of words and writes it where lda reads it.
func (d *demo) corpus(ctx context.Context) (*corpus.Corpus, error) {
	src := d.src
	if src == "" {
		text, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, errors.Wrap(err, "go env GOROOT (the demo reads the comments of Go's own sources; -src says where they are)")
		}
		src = filepath.Join(strings.TrimSpace(string(text)), "src")
	}
	c, err := corpus.Read(src)
	if err != nil {
		return nil, errors.WithMessage(err, "the sources of Go are needed (Debian has them in golang-src; -src says where they are)")
	}
	if len(c.Words) == 0 {
		return nil, errors.Errorf("the comments in %s have no words in common", src)
	}
	if err := os.MkdirAll(d.out, 0o777); err != nil {
		return nil, errors.Wrap(err, "demo")
	}
	d.docword, d.vocab = filepath.Join(d.out, "docword.go.txt"), filepath.Join(d.out, "vocab.go.txt")
	files := make([]*os.File, 3)
	for i, name := range []string{d.docword, d.vocab, filepath.Join(d.out, "docs.go.txt")} {
		f, err := os.Create(name)
		if err != nil {
			return nil, errors.Wrap(err, "demo")
		}
		defer f.Close() // again after an error; closed below otherwise
		files[i] = f
	}
	err = c.Write(files[0], files[1], files[2])
	for _, f := range files {
		err = stderrors.Join(err, f.Close())
	}
	if err != nil {
		return nil, errors.Wrap(err, "write the corpus")
	}
	fmt.Fprintf(d.w, "The comments of Go's standard library, %s:\n%d documents (files), %d tokens, %d words, in %.1f s.\n",
		src, len(c.Files), c.Tokens(), len(c.Words), time.Since(d.start).Seconds())
	return c, nil
}

// explain says what is going to happen, and why ranks are slowed down.
func (d *demo) explain() {
	fmt.Fprintf(d.w, "\nTopic modelling (lda, %d topics) on %d ranks, %d passes with 4 clocks each, under\n%s.\n", d.topics, d.ranks, d.passes, strings.Join(settings(), ", "))
	if d.straggle == "" {
		fmt.Fprintf(d.w, "No rank is slowed down: ranks that share the cores of one machine then take the same time under all settings.\n")
	} else {
		fmt.Fprintf(d.w, `Stragglers are switched on (-straggle %s): now and then a rank sleeps in the
middle of its work, as machines of a real cluster do. Ranks that share the cores of one machine are otherwise
equally fast, and the settings would show no difference in time.
`, d.straggle)
	}
	fmt.Fprintf(d.w, "log-likelihood (loglik) is ln p(w, z) per token; waited is the share of their time that workers waited.\n\n")
}

// runDir is where the comparison keeps the run of a setting.
func (d *demo) runDir(setting string) string {
	return filepath.Join(d.out, strings.ReplaceAll(setting, ":", "")+"-1")
}

func (d *demo) modelFile(setting string) string { return filepath.Join(d.runDir(setting), "model.txt") }

// compare runs lda under all settings; the launcher shows how far it is and ends
// with tables and the page.
func (d *demo) compare(ctx context.Context) error {
	args := []string{"compare", "-n", strconv.Itoa(d.ranks), "-sync", strings.Join(settings(), ","), "-run-dir", d.out, "-replace"}
	if d.straggle != "" {
		args = append(args, "-straggle", d.straggle)
	}
	lda, err := filepath.Abs(filepath.Join(d.bin, "lda"))
	if err != nil {
		return errors.Wrap(err, "demo")
	}
	args = append(args, lda, "-data", d.docword, "-vocab", d.vocab, "-topics", strconv.Itoa(d.topics), "-alpha", "0.1", "-beta", "0.05",
		"-epochs", strconv.Itoa(d.passes), "-clocks-per-epoch", "4", "-evaluate", strconv.Itoa(max(1, min(5, d.passes/4))),
		"-top", "0", "-out", "{dir}/model.txt")
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "sspurn"), args...)
	cmd.Stdout, cmd.Stderr = d.w, d.stderr
	// A group of its own: Ctrl-C reaches the launcher once, from Cancel, and
	// it ends its ranks in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	return errors.Wrap(cmd.Run(), filepath.Join(d.bin, "sspurn"))
}

// report reads what the comparison has recorded.
func (d *demo) report() (*report.Report, error) {
	var dirs []string
	for _, s := range settings() {
		dirs = append(dirs, d.runDir(s))
	}
	runs, err := report.Read(dirs...)
	if err != nil {
		return nil, err
	}
	return report.New(runs, report.Options{Items: "tokens", Order: settings()}), nil
}
