package collectives

import (
	"unsafe"

	"github.com/sspurn/sspurn/runtime"
)

// bytesOf views a slice as its bytes. Elements have neither pointers nor
// padding and bytes need no alignment; the wire has the byte order of the
// machine, which the runtime makes sure is that of all.
func bytesOf[T runtime.Elem](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*sizeOf[T]())
}

// viewAs views words as n elements, which must fit. Words are aligned for every
// element type.
func viewAs[T runtime.Elem](words []uint64, n int) []T {
	if n == 0 {
		return nil
	}
	_ = words[(n*sizeOf[T]()+7)/8-1]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

func sizeOf[T runtime.Elem]() int {
	var v T
	return int(unsafe.Sizeof(v))
}
