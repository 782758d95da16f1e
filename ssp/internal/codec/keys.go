package codec

import (
	"bytes"
)

// Key caching (Li et al., OSDI 2014): the rows of a table that a sender names to
// an owner are often the same as some time before. [KeyWriter] takes the heads of
// rows (their gaps and shapes) out of a message, numbers each list of them, and
// names a list by its number when it comes again; [KeyReader] puts the heads back,
// so that the message is the same byte for byte. Both see the batches of one
// sender to one owner in order, and a list is named together with the batch that
// it came with: nothing depends on hashes or luck, and two that do not agree notice.
//
// A message whose kind byte has bit 6 set is such a one. Its blocks are
//
//	block  table+1, coding byte, width, age, mode byte, ...
//
// with, by mode: 0, rows as ever; 1, slot, bytes of the heads, heads, payloads;
// 2, slot, version of the batch that the heads came with, payloads. The lengths of
// payloads follow from the heads.

const keyed = 0x40

const (
	keySlots = 256     // lists of a table that are remembered
	keyBytes = 1 << 16 // the longest of them
)

const (
	keysPlain byte = iota
	keysNew
	keysKnown
)

// keyList is a list of heads, with the mark of their end.
type keyList struct {
	heads   []byte
	version uint64 // of the batch that it came with; 0: none
}

// KeyWriter packs the batches of a sender for one owner. The zero value is ready.
type KeyWriter struct {
	tables map[uint32]*keyTable
	heads  []byte
	body   []byte
	out    []byte
}

type keyTable struct {
	lists [keySlots]keyList
	slots map[uint64]int // by hash of the heads
	next  int
}

// Pack returns the batch without the heads that the owner knows, of the tables
// that want it, or the message itself when there are none. The result is good
// until the next call.
func (w *KeyWriter) Pack(msg []byte, wanted func(table uint32) bool) []byte {
	var d Decoder
	if d.Reset(msg) != nil {
		return msg
	}
	w.out = append(w.out[:0], msg[:len(msg)-len(d.rest)]...)
	w.out[0] |= keyed
	packed := false
	for {
		start := len(msg) - len(d.rest)
		if !d.NextTable() {
			break
		}
		first := len(msg) - len(d.rest)
		w.out = append(w.out, msg[start:first]...)
		if !wanted(d.block.Table) {
			for d.NextRow() {
			}
			w.out = append(append(w.out, keysPlain), msg[first:len(msg)-len(d.rest)]...)
			continue
		}
		packed = true
		w.heads, w.body = w.heads[:0], w.body[:0]
		at := first
		bits := d.block.Bits
		for d.head() {
			w.heads = append(w.heads, msg[at:len(msg)-len(d.rest)]...)
			at = len(msg) - len(d.rest)
			d.payload(bits)
			w.body = append(w.body, msg[at:len(msg)-len(d.rest)]...)
			at = len(msg) - len(d.rest)
		}
		w.heads = append(w.heads, 0)
		if len(w.heads) > keyBytes {
			w.out = append(append(w.out, keysPlain), msg[first:len(msg)-len(d.rest)]...)
			continue
		}
		w.list(d.block.Table, d.header.Version)
		w.out = append(w.out, w.body...)
	}
	if d.err != nil || !packed {
		return msg
	}
	w.out = append(w.out, 0)
	return w.out
}

// head goes behind the head of the next row, and payload from there behind the
// row, whose values have a coding.
func (d *Decoder) head() bool {
	d.block.Bits = Full // the exponent is part of the payload here
	return d.NextRow()
}

func (d *Decoder) payload(bits Bits) {
	d.block.Bits = bits
	d.readScale()
	d.skip()
}

// list writes the heads, or which they are.
func (w *KeyWriter) list(table uint32, version uint64) {
	t := w.tables[table]
	if t == nil {
		if w.tables == nil {
			w.tables = map[uint32]*keyTable{}
		}
		t = &keyTable{slots: map[uint64]int{}}
		w.tables[table] = t
	}
	h := hash(w.heads)
	if slot, ok := t.slots[h]; ok && bytes.Equal(t.lists[slot].heads, w.heads) {
		w.out = append(w.out, keysKnown)
		w.out = appendUvarint(w.out, uint64(slot))
		w.out = appendUvarint(w.out, t.lists[slot].version)
		return
	}
	slot := t.next
	t.next = (t.next + 1) % keySlots
	l := &t.lists[slot]
	if l.version > 0 {
		if old := hash(l.heads); t.slots[old] == slot {
			delete(t.slots, old)
		}
	}
	l.heads, l.version = append(l.heads[:0], w.heads...), version
	t.slots[h] = slot
	w.out = append(w.out, keysNew)
	w.out = appendUvarint(w.out, uint64(slot))
	w.out = appendUvarint(w.out, uint64(len(w.heads)))
	w.out = append(w.out, w.heads...)
}

// hash is FNV-1a.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range b {
		h = (h ^ uint64(x)) * 1099511628211
	}
	return h
}

// KeyReader unpacks the batches of one sender. The zero value is ready.
type KeyReader struct {
	incarnation uint32
	version     uint64 // of the last batch that was unpacked
	tables      map[uint32]*[keySlots]keyList
}

// Unpack returns the batch with all its heads: msg itself when none were taken
// out. limit bounds the bytes of the result. repeat reports a batch that has
// been unpacked before, which is not unpacked again; a sender that has begun
// another life is not expected to know what the one before has sent. After an
// error the lists are not good any more.
func (r *KeyReader) Unpack(msg []byte, limit int) (out []byte, repeat bool, err error) {
	if len(msg) == 0 || msg[0]&keyed == 0 {
		return msg, false, nil
	}
	plain := append([]byte(nil), msg...)
	plain[0] &^= keyed
	var d Decoder
	if err := d.Reset(plain); err != nil {
		return nil, false, err
	}
	h := d.header
	if h.Kind != Batch {
		return nil, false, d.fail("keys in a message of kind %d", h.Kind)
	}
	if h.Incarnation != r.incarnation {
		*r = KeyReader{incarnation: h.Incarnation}
	}
	if h.Version <= r.version {
		return nil, true, nil
	}
	r.version = h.Version
	out = append(make([]byte, 0, len(plain)+len(plain)/4), plain[:len(plain)-len(d.rest)]...)
	for {
		start := len(plain) - len(d.rest)
		if !d.NextTable() {
			break
		}
		out = append(out, plain[start:len(plain)-len(d.rest)]...)
		mode := d.take(1)
		if mode == nil {
			break
		}
		if mode[0] == keysPlain {
			at := len(plain) - len(d.rest)
			for d.NextRow() {
			}
			if d.err == nil {
				out = append(out, plain[at:len(plain)-len(d.rest)]...)
			}
			continue
		}
		heads := r.list(&d, mode[0], h.Version)
		if d.err != nil {
			break
		}
		// The heads are read by a decoder of their own, the payloads by d.
		k := Decoder{rest: heads, header: d.header, block: d.block, row: -1, state: inBlock}
		for {
			at := len(heads) - len(k.rest)
			more := k.head()
			if k.err != nil {
				return nil, false, k.err
			}
			out = append(out, heads[at:len(heads)-len(k.rest)]...)
			if !more {
				break
			}
			k.state = inBlock
			body := len(plain) - len(d.rest)
			d.shape = k.shape
			d.payload(d.block.Bits)
			if d.err != nil {
				return nil, false, d.err
			}
			out = append(out, plain[body:len(plain)-len(d.rest)]...)
			if len(out) > limit {
				return nil, false, d.fail("keys for more than %d bytes", limit)
			}
		}
		if len(k.rest) > 0 {
			return nil, false, d.fail("%d bytes behind the keys", len(k.rest))
		}
		d.state = atTable
	}
	if d.err != nil {
		return nil, false, d.err
	}
	return append(out, 0), false, nil
}

// list returns the heads of a block, those that are new being remembered.
func (r *KeyReader) list(d *Decoder, mode byte, version uint64) []byte {
	slot := d.bounded(keySlots-1, "slot of keys")
	table := d.block.Table
	lists := r.tables[table]
	switch mode {
	case keysNew:
		heads := d.take(int(d.bounded(keyBytes, "bytes of keys")))
		if d.err != nil {
			return nil
		}
		if lists == nil {
			if r.tables == nil {
				r.tables = map[uint32]*[keySlots]keyList{}
			}
			lists = new([keySlots]keyList)
			r.tables[table] = lists
		}
		lists[slot] = keyList{append(lists[slot].heads[:0], heads...), version}
		return lists[slot].heads
	case keysKnown:
		from := d.uvarint()
		if d.err != nil {
			return nil
		}
		if lists == nil || from == 0 || lists[slot].version != from {
			_ = d.fail("keys %d of table %d as of batch %d", slot, table, from)
			return nil
		}
		return lists[slot].heads
	}
	_ = d.fail("mode %d of keys", mode)
	return nil
}
