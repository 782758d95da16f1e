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
	return c.send(ctx, dst, tag, gobElem, 0, b.Bytes())
}

// RecvGob receives a value that SendGob sent into v. One that takes more than
// 64 MiB encoded is gone and the error is a *TruncationError. From NoRank v stays
// as it is.
func RecvGob[T any](ctx context.Context, c *Comm, src int, tag Tag, v *T) (Status, error) {
	var buf []byte
	st, err := c.recv(ctx, src, tag, room{elem: gobElem, limit: defaultLimit, alloc: func(n int) []byte {
		buf = make([]byte, n)
		return buf
	}})
	if err != nil || st.Source == NoRank {
		return st, err
	}
	st.Count = 1
	if err := gob.NewDecoder(bytes.NewReader(buf)).Decode(v); err != nil {
		return st, errors.Wrapf(err, "recv from rank %d on %s", st.Source, c.Name())
	}
	return st, nil
}
