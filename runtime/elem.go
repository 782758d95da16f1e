package runtime

import (
	"reflect"
	"unsafe"
)

// Elem is what messages are made of: numbers of a size that does not depend on
// the machine.
type Elem interface {
	~int8 | ~int16 | ~int32 | ~int64 |
		~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~float32 | ~float64 | ~complex64 | ~complex128
}

// gobElem marks messages of SendGob in the place of an element type.
const gobElem = 0xff

// elemOf is the number by which messages name their element type: that of the
// underlying type, so that named types match.
func elemOf[T Elem]() uint8 {
	var v T
	return uint8(reflect.TypeOf(v).Kind())
}

// elemSize is the length of an element in bytes.
func elemSize(elem uint8) int {
	switch reflect.Kind(elem) {
	case reflect.Int16, reflect.Uint16:
		return 2
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		return 4
	case reflect.Int64, reflect.Uint64, reflect.Float64, reflect.Complex64:
		return 8
	case reflect.Complex128:
		return 16
	}
	return 1
}

// elemName is the element type in words.
func elemName(elem uint8) string {
	if elem == gobElem {
		return "gob"
	}
	return reflect.Kind(elem).String()
}

// bytesOf views a slice as its bytes, without copying. The elements have no
// pointers and no padding, and bytes have no alignment to respect. The wire is
// little-endian as is every machine that joins: others are refused when they
// connect.
func bytesOf[T Elem](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

// elemsOf views bytes as elements, without copying. They come from a window or
// from a frame, where operands are aligned to eight bytes, as much as any
// element needs.
func elemsOf[T Elem](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var v T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(v)))
}

// one views a value as a slice of one.
func one[T Elem](v *T) []T { return unsafe.Slice(v, 1) }
