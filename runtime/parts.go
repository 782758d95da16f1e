package runtime

import "context"

// Strided returns count parts of buf, each of block elements, the first at the
// beginning of buf and each stride elements after the one before: so the column
// j of a matrix of rows×cols elements is Strided(m[j:], 1, cols, rows). The parts
// share buf's memory; they overlap when stride is less than block, which is for
// sending only.
func Strided[T Elem](buf []T, block, stride, count int) [][]T {
	parts := make([][]T, count)
	for i := range parts {
		at := i * stride
		parts[i] = buf[at : at+block : at+block]
	}
	return parts
}

// SendParts sends one message that is the parts one after the other. They leave
// from where they are, or, if they are short, by way of one copy. Else it is as
// Send, and any receive of as many elements takes the message.
func SendParts[T Elem](ctx context.Context, c *Comm, dst int, tag Tag, parts [][]T) error {
	return c.send(ctx, dst, tag, elemOf[T](), 0, gathered(parts)...)
}

// IsendParts starts a SendParts. What the parts refer to is the runtime's until
// the request has ended; the slice of them is the caller's at once.
func IsendParts[T Elem](c *Comm, dst int, tag Tag, parts [][]T) *Request {
	return c.isend(dst, tag, elemOf[T](), 0, gathered(parts)...)
}

// RecvParts receives one message, of whatever call, into the parts, one after
// the other, by way of one copy. Else it is as Recv into their concatenation.
func RecvParts[T Elem](ctx context.Context, c *Comm, src int, tag Tag, parts [][]T) (Status, error) {
	return c.recv(ctx, src, tag, scattered(parts))
}

// IrecvParts starts a RecvParts. What the parts refer to is the runtime's until
// the request has been waited for; the slice of them is the caller's at once.
func IrecvParts[T Elem](c *Comm, src int, tag Tag, parts [][]T) *Request {
	return c.irecv(src, tag, scattered(parts))
}

// shortPart is the mean length in bytes below which parts are copied, measured
// with 1 MiB over loopback: there a vector write takes as long as the copy; of
// parts of 4 KiB half as long, of 128 bytes three times.
const shortPart = 512

func gathered[T Elem](parts [][]T) [][]byte {
	list := make([][]byte, len(parts))
	for i, p := range parts {
		list[i] = bytesOf(p)
	}
	if size(list) < shortPart*len(list) {
		return [][]byte{join(list)}
	}
	return list
}

func scattered[T Elem](parts [][]T) room {
	list := make([][]byte, len(parts))
	for i, p := range parts {
		list[i] = bytesOf(p)
	}
	return room{elem: elemOf[T](), parts: list, limit: size(list)}
}
