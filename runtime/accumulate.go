package runtime

import (
	"reflect"
	"strconv"
)

// Accumulator says how an element that is sent to a window and the one that is
// there make the one that is there afterwards.
type Accumulator uint8

// The accumulators. Min and Max are not for complex numbers, and of a NaN and
// a number make NaN; And, Or and Xor are for integers.
const (
	Replace Accumulator = iota // what is sent
	Keep                       // what is there: with Fetch an atomic read
	Add
	Prod
	Min
	Max
	And // bit by bit
	Or
	Xor
	accumulators
)

// String is the accumulator's name.
func (a Accumulator) String() string {
	names := [...]string{"replace", "keep", "add", "prod", "min", "max", "and", "or", "xor"}
	if int(a) < len(names) {
		return names[a]
	}
	return "accumulator " + strconv.Itoa(int(a))
}

// suits reports whether there is such an accumulator for the element type.
func (a Accumulator) suits(elem uint8) bool {
	switch a {
	case Replace, Keep, Add, Prod:
		return true
	case Min, Max:
		return reflect.Kind(elem) < reflect.Complex64
	}
	return a < accumulators && reflect.Kind(elem) < reflect.Float32
}

// accumulate combines elements of src into dst, which are of one length and
// both aligned. a suits the type.
func accumulate(a Accumulator, elem uint8, dst, src []byte) {
	switch a {
	case Replace:
		copyWhole(dst, src)
		return
	case Keep:
		return
	}
	switch reflect.Kind(elem) {
	case reflect.Int8:
		combineInts[int8](a, dst, src)
	case reflect.Int16:
		combineInts[int16](a, dst, src)
	case reflect.Int32:
		combineInts[int32](a, dst, src)
	case reflect.Int64:
		combineInts[int64](a, dst, src)
	case reflect.Uint8:
		combineInts[uint8](a, dst, src)
	case reflect.Uint16:
		combineInts[uint16](a, dst, src)
	case reflect.Uint32:
		combineInts[uint32](a, dst, src)
	case reflect.Uint64:
		combineInts[uint64](a, dst, src)
	case reflect.Float32:
		combineReals[float32](a, dst, src)
	case reflect.Float64:
		combineReals[float64](a, dst, src)
	case reflect.Complex64:
		combine[complex64](a, dst, src)
	case reflect.Complex128:
		combine[complex128](a, dst, src)
	}
}

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func combineInts[T integer](a Accumulator, dst, src []byte) {
	s := elemsOf[T](src)
	d := elemsOf[T](dst)[:len(s)]
	switch a {
	case And:
		for i, v := range s {
			d[i] &= v
		}
	case Or:
		for i, v := range s {
			d[i] |= v
		}
	case Xor:
		for i, v := range s {
			d[i] ^= v
		}
	default:
		combineReals[T](a, dst, src)
	}
}

func combineReals[T integer | float32 | float64](a Accumulator, dst, src []byte) {
	s := elemsOf[T](src)
	d := elemsOf[T](dst)[:len(s)]
	switch a {
	case Min:
		for i, v := range s {
			d[i] = min(d[i], v)
		}
	case Max:
		for i, v := range s {
			d[i] = max(d[i], v)
		}
	default:
		combine[T](a, dst, src)
	}
}

func combine[T integer | float32 | float64 | complex64 | complex128](a Accumulator, dst, src []byte) {
	s := elemsOf[T](src)
	d := elemsOf[T](dst)[:len(s)]
	switch a {
	case Add:
		for i, v := range s {
			d[i] += v
		}
	case Prod:
		for i, v := range s {
			d[i] *= v
		}
	}
}
