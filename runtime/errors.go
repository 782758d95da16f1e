package runtime

import (
	stderrors "errors"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/pkg/errors"
)

// What calls fail with, beside the cause of their context.
var (
	// ErrRankLost matches every *RankError.
	ErrRankLost = stderrors.New("rank lost")
	// ErrTruncated matches every *TruncationError: the message was longer than
	// the receiver's buffer. It is gone; the buffer's content is undefined.
	ErrTruncated = stderrors.New("message longer than the buffer")
	// ErrLength matches every *LengthError: a message that was pulled had another
	// length than the buffer. It is gone.
	ErrLength = stderrors.New("lengths differ")
	// ErrType matches every *TypeError: sender and receiver disagree about the
	// element type. The message is gone.
	ErrType = stderrors.New("element types differ")
	// ErrDropped: a receive was cancelled when it had met a message, which is gone,
	// or one that pulls, whose message will be, if it has not gone already.
	ErrDropped = stderrors.New("a message that had been met is lost")
	// ErrClosed: the communicator or the port has been closed, or the job has
	// ended.
	ErrClosed = stderrors.New("closed")
	// ErrLeft: the body of the other rank has returned, so that it will never
	// send or receive what the call waits for.
	ErrLeft = stderrors.New("its body has returned")
	// ErrJobOver: the launcher has gone away, and the job with it.
	ErrJobOver = stderrors.New("job over: the launcher has gone")
)

// RankError says that a call failed because a rank of the communicator was
// lost. It matches ErrRankLost and whatever Cause matches.
type RankError struct {
	Rank  int    // the lost rank's place in the job
	Host  string // where it ran
	Op    string // the call that failed, such as "recv from rank 2 on world"
	Cause error  // how the loss was noticed
}

// Error names the operation, the rank, its host and the cause.
func (e *RankError) Error() string {
	s := "rank " + strconv.Itoa(e.Rank)
	if e.Host != "" {
		s += " on host " + e.Host
	}
	s += " lost"
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	return s
}

// Is reports whether target is ErrRankLost.
func (e *RankError) Is(target error) bool { return target == ErrRankLost }

// Unwrap returns the cause.
func (e *RankError) Unwrap() error { return e.Cause }

// TruncationError says that a message was too long for its receive. It matches
// ErrTruncated.
type TruncationError struct {
	Bytes int // of the message
	Room  int // in bytes: the buffer's, or the receive's limit
}

// Error names both sizes.
func (e *TruncationError) Error() string {
	return fmt.Sprintf("%d bytes for %d: %v", e.Bytes, e.Room, ErrTruncated)
}

// Is reports whether target is ErrTruncated.
func (e *TruncationError) Is(target error) bool { return target == ErrTruncated }

// LengthError says that a message was not as long as the receiver that pulled it
// expected. It matches ErrLength.
type LengthError struct {
	Bytes int // of the message
	Room  int // in bytes: the buffer's
}

// Error names both sizes.
func (e *LengthError) Error() string {
	return fmt.Sprintf("%d bytes for %d: %v", e.Bytes, e.Room, ErrLength)
}

// Is reports whether target is ErrLength.
func (e *LengthError) Is(target error) bool { return target == ErrLength }

// TypeError says that a message had elements of another type than its receive.
// It matches ErrType.
type TypeError struct {
	Sent, Want string // underlying types, such as "float64"; "gob" for SendGob and RecvGob
}

// Error names both types.
func (e *TypeError) Error() string {
	return fmt.Sprintf("message of %s for a receive of %s: %v", e.Sent, e.Want, ErrType)
}

// Is reports whether target is ErrType.
func (e *TypeError) Is(target error) bool { return target == ErrType }

// droppedError is the end of a receive that was cancelled too late.
type droppedError struct{ cause error }

func (e *droppedError) Error() string        { return e.cause.Error() + ": " + ErrDropped.Error() }
func (e *droppedError) Is(target error) bool { return target == ErrDropped }
func (e *droppedError) Unwrap() error        { return e.cause }

// RangeError says that an operation on a window goes beyond what the window
// has at the rank.
type RangeError struct {
	Op     string // such as "put to "
	Rank   int    // the target, in the window's communicator
	Offset int    // all in elements
	Count  int
	Len    int // of the window there
}

// Error names the operation, the rank, the range, and what there is.
func (e *RangeError) Error() string {
	return fmt.Sprintf("%srank %d: %d elements from %d of a window of %d", e.Op, e.Rank, e.Count, e.Offset, e.Len)
}

// during returns err with the operation that it ended. A loss becomes a
// *RankError of its own.
func during(op string, err error) error {
	if lost, ok := err.(*RankError); ok {
		return &RankError{Rank: lost.Rank, Host: lost.Host, Op: op, Cause: lost.Cause}
	}
	return errors.WithMessage(err, op)
}

// panicError is what a panic of a body or a handler becomes: one line, with
// the stack beside it.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// Unwrap returns the error that the program panicked with, if it was one.
func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// Stack is the stack of the goroutine that panicked.
func (e *panicError) Stack() []byte { return e.stack }

// errExited is the end of a body or a handler that did not return.
var errExited = stderrors.New("ended its goroutine (runtime.Goexit, or FailNow of a test)")

// recovered is deferred by what calls a body or a handler: it makes a panic
// the error that is returned.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{v, debug.Stack()}
	}
}
