package main

import (
	"context"
	"encoding/json"
	stderrors "errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// model is what -tune and -model ask for: collective operations go by a model that
// is measured and written, or read. The files are rank 0's. It is collective.
func (cfg *config) model(ctx context.Context, job *apps.Job) error {
	switch {
	case cfg.tune != "":
		return cfg.measureModel(ctx, job)
	case cfg.known != "":
		text, err := []byte(nil), error(nil)
		if job.Comm.Rank() == 0 {
			text, err = readModel(cfg.known)
		}
		if err := job.Together(ctx, err); err != nil {
			return err
		}
		return installModel(ctx, job.Comm, text)
	}
	return nil
}

func (cfg *config) measureModel(ctx context.Context, job *apps.Job) error {
	job.Logf("measuring what messages and algorithms cost, for some seconds")
	start := time.Now()
	m, err := collectives.Tune(ctx, job.Comm)
	if err != nil {
		return err
	}
	if err := collectives.Install(job.Comm, m); err != nil {
		return err
	}
	if job.Comm.Rank() != 0 {
		return nil
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return errors.Wrap(err, "encode the model")
	}
	err = apps.WriteFile(cfg.tune, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err == nil {
		job.Logf("the model is in %s, after %.1f s; -model uses it again", cfg.tune, time.Since(start).Seconds())
	}
	return err
}

// readModel reads a file that -tune has written, and sees whether it is one.
func readModel(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if p, ok := stderrors.AsType[*fs.PathError](err); ok {
			err = p.Err // the file is named already
		}
		return nil, &apps.InputError{File: path, Err: errors.Wrap(err, "can not be read")}
	}
	if err := json.Unmarshal(text, new(collectives.Model)); err != nil {
		return nil, &apps.InputError{File: path, Err: errors.Wrap(err, "expected a model that -tune wrote")}
	}
	return text, nil
}

// installModel installs rank 0's model on all ranks.
func installModel(ctx context.Context, c *runtime.Comm, text []byte) error {
	size := []int64{int64(len(text))}
	if err := collectives.Bcast(ctx, c, size, 0); err != nil {
		return err
	}
	if c.Rank() != 0 {
		text = make([]byte, size[0])
	}
	if err := collectives.Bcast(ctx, c, text, 0); err != nil {
		return err
	}
	var m collectives.Model
	if err := json.Unmarshal(text, &m); err != nil {
		return errors.Wrap(err, "model")
	}
	return collectives.Install(c, m)
}
