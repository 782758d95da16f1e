package runtime

import (
	"bytes"
	"context"
	"encoding/gob"

	"github.com/pkg/errors"
)

// SendGob sends any value that encoding/gob can encode, for set-up and
// results; numbers travel faster by Send. Only RecvGob receives it.
func SendGob[T any](ctx context.Context, c *Comm, dst int, tag Tag, v T) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&v); err != nil {
		return errors.Wrapf(err, "send to rank %d on %s", dst, c.Name())
	}
	return c.send(ctx, dst, tag, gobElem, b.Bytes())
}

// RecvGob receives a value that SendGob sent into v. One that takes more than
// 64 MiB encoded is gone and the error matches ErrTruncated.
func RecvGob[T any](ctx context.Context, c *Comm, src int, tag Tag, v *T) (Status, error) {
	r := new(Request)
	peer, err := c.source(src)
	if err != nil {
		return Status{}, errors.WithMessage(err, "recv")
	}
	c.prepare(r, peer, tag, gobElem, nil, defaultLimit)
	e := c.e
	e.mu.Lock()
	if err := e.broken(c.group); err != nil {
		e.mu.Unlock()
		return Status{}, during(r.String(), err)
	}
	e.post(r)
	e.mu.Unlock()
	st, err := r.Wait(ctx)
	if err != nil {
		return st, err
	}
	st.Count = 1
	if err := gob.NewDecoder(bytes.NewReader(r.buf)).Decode(v); err != nil {
		return st, errors.Wrapf(err, "recv from rank %d on %s", st.Source, c.Name())
	}
	return st, nil
}
