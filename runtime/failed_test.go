package runtime

import (
	stderrors "errors"
	"log/slog"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// told is a transport that keeps what ranks are told of the job's failure.
type told struct {
	sink
	by map[int]int    // who said so first, by who was told
	of map[int]int    // who is the culprit
	at map[int]string // and why
}

func (t *told) Send(peer int, h *wire.Header, payload [][]byte, _ transport.Completion) bool {
	if h.Kind == wire.Revoke {
		rank, cause := decodeCause(join(payload), -1)
		t.by[peer], t.of[peer], t.at[peer] = int(h.ID), rank, cause.Error()
	}
	return true
}

// TestFailed has the transport say that this rank can not connect, and then that
// the peer it was to be connected with is lost: others hear of this rank only.
func TestFailed(t *testing.T) {
	e := newEngine(0, []string{"a", "b", "c", "d", "e", "f", "g"}, slog.New(slog.DiscardHandler))
	tr := &told{by: map[int]int{}, of: map[int]int{}, at: map[int]string{}}
	e.t, e.tree = tr, []int{1, 2, 3, 4}
	short := stderrors.New("too many open files")
	e.Failed(short)
	e.Lost(6, short)
	for peer := 1; peer < 6; peer++ {
		if of, ok := tr.of[peer]; !ok || of != 0 || tr.by[peer] != 0 || tr.at[peer] != short.Error() {
			t.Errorf("rank %d was told of %d (%v) by %d: %s; want rank 0: %v", peer, of, ok, tr.by[peer], tr.at[peer], short)
		}
	}
	if !stderrors.Is(e.failure, short) {
		t.Errorf("the failure is %v", e.failure)
	}
}
