//go:build linux && !portable

package shm

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
)

// idle is a Rest without peers that does nothing.
type idle struct{ transport.Transport }

func (idle) Watch(int) error { return nil }
func (idle) Close() error    { return nil }

// sharers are ranks of one host, and beside the last one another host's rank.
func sharers(t *testing.T, n int) []*Transport {
	t.Helper()
	var out []*Transport
	for i, s := range segments(t, n, 0) {
		slots := make([]int, n+1)
		for k := range slots {
			slots[k] = k
		}
		slots[i], slots[n] = -1, -1
		tr, err := s.Join(slots, idle{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tr.Close() })
		out = append(out, tr)
	}
	return out
}

func mapped(t *testing.T, tr *Transport, at, n int64) transport.Memory {
	t.Helper()
	m, err := tr.Map(at, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if int64(len(m.Bytes())) != n {
		t.Fatalf("%d bytes, want %d", len(m.Bytes()), n)
	}
	return m
}

func TestArea(t *testing.T) {
	const n = 3 * pageSize
	ranks := sharers(t, 3)
	for i, tr := range ranks {
		for k := range 4 {
			if got, want := tr.Shares(k), k != i && k < 3; got != want {
				t.Errorf("rank %d shares memory with %d: %t", i, k, got)
			}
		}
		at, room := tr.Room()
		if at%pageSize != 0 || room < 1<<54 {
			t.Errorf("rank %d: room of %d bytes at %#x", i, room, at)
		}
		if err := tr.Take(at, n-1); err != nil {
			t.Fatal(err)
		}
		if next, left := tr.Room(); next != at+n || left != room-n {
			t.Errorf("rank %d: room of %d bytes at %#x, after %d of %d at %#x", i, left, next, n, room, at)
		}
		if err := tr.Take(at, n); err == nil {
			t.Errorf("rank %d: %#x can be taken twice", i, at)
		}
		if err := tr.Take(at+n, room); err == nil {
			t.Errorf("rank %d: more can be taken than there is", i)
		}

		here := mapped(t, tr, at, n)
		if bytes.ContainsFunc(here.Bytes(), func(r rune) bool { return r != 0 }) {
			t.Errorf("rank %d: not zero at first", i)
		}
		there := mapped(t, ranks[(i+1)%3], at, n)
		for k := range here.Bytes() {
			here.Bytes()[k] = byte(k + i)
		}
		if !bytes.Equal(here.Bytes(), there.Bytes()) {
			t.Errorf("rank %d: another sees something else", i)
		}
		kept := bytes.Clone(there.Bytes())
		clear(kept[pageSize : 2*pageSize])
		before := blocks(t, tr)
		if err := here.Empty(pageSize, pageSize); err != nil {
			t.Fatal(err)
		}
		if after := blocks(t, tr); after != before-pageSize/512 {
			t.Errorf("rank %d: the file takes %d blocks, %d before a page was given back", i, after, before)
		}
		if !bytes.Equal(here.Bytes(), kept) || !bytes.Equal(there.Bytes(), kept) {
			t.Errorf("rank %d: more or less than a page is empty", i)
		}
	}
}

// blocks is the memory that the file takes, in units of 512 bytes.
func blocks(t *testing.T, tr *Transport) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(tr.seg.areas.file, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}

func TestAreaRefused(t *testing.T) {
	ranks := sharers(t, 2)
	at, room := ranks[1].Room()
	for name, span := range map[string][2]int64{
		"the rings":           {0, pageSize},
		"part of a page":      {at + 1, pageSize},
		"nothing":             {at, 0},
		"less":                {at, -1},
		"beyond all ranks'":   {at + room, pageSize},
		"too long":            {at, room + 1},
		"longer than numbers": {at, 1<<63 - 1},
	} {
		if _, err := ranks[0].Map(span[0], span[1]); err == nil {
			t.Errorf("%s can be mapped: %d bytes at %#x", name, span[1], span[0])
		}
	}
	// An address space has no place for that; the file does.
	if m, err := ranks[0].Map(at, room); err == nil {
		m.Close()
	}
	mapped(t, ranks[0], at, pageSize)

	// A file that may not be so long is an error, and no signal.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	short := unix.Rlimit{Cur: 1 << 50, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &short); err != nil {
		t.Fatal(err)
	}
	_, err := ranks[0].Map(at, pageSize)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Error("a file beyond the limit")
	}
	ranks[0].Close()
	if _, err := ranks[0].Map(at, pageSize); err == nil {
		t.Error("mapped after Close")
	}
}
