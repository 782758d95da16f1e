package codec

import (
	"encoding/binary"
	"math"
)

// begin checks that a row of T into width elements can be read now.
func begin[T Elem](d *Decoder, width int) error {
	switch {
	case d.err != nil:
		return d.err
	case d.state != atPayload:
		panic("codec: no row to read")
	case d.block.Type != TypeOf[T]():
		return d.fail("table %d of %v, want %v", d.block.Table, d.block.Type, TypeOf[T]())
	case d.block.Width != width:
		return d.fail("table %d of width %d, want %d", d.block.Table, d.block.Width, width)
	}
	d.state = inBlock
	return nil
}

// AddTo adds the row to dst, whose length must be the block's width. After an
// error parts of the row may have been added.
func AddTo[T Elem](d *Decoder, dst []T) error {
	if err := begin[T](d, len(dst)); err != nil {
		return err
	}
	switch d.shape {
	case dense:
		if b := d.take(len(dst) * d.size); b != nil {
			if d.scale != 0 {
				addNumbers(d, dst, b)
			} else {
				addRaw(dst, b)
			}
		}
	case counted:
		for i := 0; i < len(dst) && d.err == nil; i++ {
			dst[i] += T(d.count())
		}
	case sparse:
		size := d.size
		for it := d.entries(); it.next(d); {
			if b := d.take(size); b != nil {
				dst[it.col] += read[T](d, b)
			}
		}
	default:
		for it := d.entries(); it.next(d); {
			dst[it.col] += T(d.count())
		}
	}
	return d.err
}

// CopyTo sets dst, whose length must be the block's width, to the row. After an
// error dst holds parts of it.
func CopyTo[T Elem](d *Decoder, dst []T) error {
	if err := begin[T](d, len(dst)); err != nil {
		return err
	}
	switch d.shape {
	case dense:
		if b := d.take(len(dst) * d.size); b != nil {
			if d.scale != 0 {
				clear(dst)
				addNumbers(d, dst, b)
			} else {
				copyRaw(dst, b)
			}
		}
	case counted:
		for i := 0; i < len(dst) && d.err == nil; i++ {
			dst[i] = T(d.count())
		}
	case sparse:
		clear(dst)
		size := d.size
		for it := d.entries(); it.next(d); {
			if b := d.take(size); b != nil {
				dst[it.col] = read[T](d, b)
			}
		}
	default:
		clear(dst)
		for it := d.entries(); it.next(d); {
			dst[it.col] = T(d.count())
		}
	}
	return d.err
}

// SparseTo appends the entries of the row to col and val and returns them;
// width is what the caller takes the table's width for. Zeros that travelled
// are kept only where the row came as entries.
func SparseTo[T Elem](d *Decoder, width int, col []int32, val []T) ([]int32, []T, error) {
	if err := begin[T](d, width); err != nil {
		return col, val, err
	}
	size := d.size
	switch d.shape {
	case dense:
		b := d.take(width * size)
		for i := 0; i < len(b); i += size {
			if v := read[T](d, b[i:i+size]); !isZero(v) {
				col, val = append(col, int32(i/size)), append(val, v)
			}
		}
	case counted:
		for i := range width {
			v := T(d.count())
			if d.err != nil {
				break
			}
			if v != 0 {
				col, val = append(col, int32(i)), append(val, v)
			}
		}
	case sparse:
		for it := d.entries(); it.next(d); {
			if b := d.take(size); b != nil {
				col, val = append(col, int32(it.col)), append(val, read[T](d, b))
			}
		}
	default:
		for it := d.entries(); it.next(d); {
			if v := d.count(); d.err == nil {
				col, val = append(col, int32(it.col)), append(val, T(v))
			}
		}
	}
	return col, val, d.err
}

// value reads one little-endian element.
func value[T Elem](b []byte) (v T) {
	switch p := any(&v).(type) {
	case *float32:
		*p = math.Float32frombits(binary.LittleEndian.Uint32(b))
	case *float64:
		*p = math.Float64frombits(binary.LittleEndian.Uint64(b))
	case *int32:
		*p = int32(binary.LittleEndian.Uint32(b))
	case *int64:
		*p = int64(binary.LittleEndian.Uint64(b))
	}
	return v
}

func addRaw[T Elem](dst []T, b []byte) {
	switch dst := any(dst).(type) {
	case []float32:
		for len(dst) >= 4 && len(b) >= 16 {
			dst[0] += math.Float32frombits(binary.LittleEndian.Uint32(b))
			dst[1] += math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
			dst[2] += math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))
			dst[3] += math.Float32frombits(binary.LittleEndian.Uint32(b[12:]))
			dst, b = dst[4:], b[16:]
		}
		for i := range dst {
			dst[i] += math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []float64:
		for i := range dst {
			dst[i] += math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case []int32:
		for i := range dst {
			dst[i] += int32(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []int64:
		for i := range dst {
			dst[i] += int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
}

func copyRaw[T Elem](dst []T, b []byte) {
	switch dst := any(dst).(type) {
	case []float32:
		for len(dst) >= 4 && len(b) >= 16 {
			dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(b))
			dst[1] = math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
			dst[2] = math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))
			dst[3] = math.Float32frombits(binary.LittleEndian.Uint32(b[12:]))
			dst, b = dst[4:], b[16:]
		}
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []float64:
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case []int32:
		for i := range dst {
			dst[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []int64:
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
}
