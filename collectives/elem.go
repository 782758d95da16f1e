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

func sizeOf[T runtime.Elem]() int {
	var v T
	return int(unsafe.Sizeof(v))
}

// same reports whether two slices begin at the same place.
func same(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// overlap reports whether two slices share memory.
func overlap(a, b []byte) bool {
	from, to := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return len(a) > 0 && len(b) > 0 && from < to+uintptr(len(b)) && to < from+uintptr(len(a))
}
