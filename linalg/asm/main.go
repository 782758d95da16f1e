// Command asm writes the assembly of package linalg; "make generate" runs it. It
// is a module of its own, so that who imports linalg needs nothing of this.
//
// Every kernel takes n elements, a multiple of eight, at any addresses, and ends
// in VZEROUPPER: with the upper halves in use, the scalar code that the compiler
// makes would wait for them from then on.
package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// unroll is how many registers a turn of the main loop takes.
const unroll = 4

// instruction is one of three operands, the second of which may be memory.
type instruction func(ops ...operand.Op)

// element is a type of vectors.
type element struct {
	name, goName string
	bytes        int
	add, mul     instruction
	broadcast    instruction
}

func main() {
	build.ConstraintExpr("!noasm,!race")
	elements := []element{
		{"Float32", "float32", 4, build.VADDPS, build.VMULPS, build.VBROADCASTSS},
		{"Float64", "float64", 8, build.VADDPD, build.VMULPD, build.VBROADCASTSD},
		{"Int32", "int32", 4, build.VPADDD, nil, nil},
		{"Int64", "int64", 8, build.VPADDQ, nil, nil},
	}
	for _, e := range elements {
		add(e)
	}
	for _, e := range elements {
		if e.mul != nil {
			axpy(e)
			dot(e)
			factor(e)
		}
	}
	build.Generate()
}

func add(e element) {
	name := "add" + e.name
	build.TEXT(name, build.NOSPLIT, fmt.Sprintf("func(dst, a, b *%s, n int)", e.goName))
	build.Pragma("noescape")
	build.Doc(name + " is: for i := range n { dst[i] = a[i] + b[i] }")
	dst, a, b := pointer("dst"), pointer("a"), pointer("b")
	loop(e, []reg.GPVirtual{dst, a, b}, func(offsets []int) {
		sums := registers(offsets)
		for i, at := range offsets {
			build.VMOVUPS(operand.Mem{Base: a, Disp: at}, sums[i])
		}
		for i, at := range offsets {
			e.add(operand.Mem{Base: b, Disp: at}, sums[i], sums[i])
		}
		for i, at := range offsets {
			build.VMOVUPS(sums[i], operand.Mem{Base: dst, Disp: at})
		}
	})
}

func axpy(e element) {
	name := "axpy" + e.name
	build.TEXT(name, build.NOSPLIT, fmt.Sprintf("func(dst *%s, alpha %[1]s, x *%[1]s, n int)", e.goName))
	build.Pragma("noescape")
	build.Doc(name + " is: for i := range n { dst[i] += alpha * x[i] }, products rounded")
	dst, x := pointer("dst"), pointer("x")
	alpha := e.all("alpha")
	loop(e, []reg.GPVirtual{dst, x}, func(offsets []int) {
		sums := registers(offsets)
		for i, at := range offsets {
			e.mul(operand.Mem{Base: x, Disp: at}, alpha, sums[i])
		}
		for i, at := range offsets {
			e.add(operand.Mem{Base: dst, Disp: at}, sums[i], sums[i])
		}
		for i, at := range offsets {
			build.VMOVUPS(sums[i], operand.Mem{Base: dst, Disp: at})
		}
	})
}

// lanes is in how many sums dot adds, and the least elements of a turn.
const lanes = 8

func dot(e element) {
	name := "dot" + e.name
	build.TEXT(name, build.NOSPLIT, fmt.Sprintf("func(sums *[%d]%s, x, y *%[2]s, n int)", lanes, e.goName))
	build.Pragma("noescape")
	build.Doc(fmt.Sprintf("%s is: *sums = [%d]%s{}; for i := range n { sums[i%%%[2]d] += x[i] * y[i] }, products rounded", name, lanes, e.goName))
	x, y := pointer("x"), pointer("y")
	var sums []reg.VecVirtual
	for range lanes * e.bytes / registerBytes {
		sum := build.YMM()
		build.VXORPS(sum, sum, sum)
		sums = append(sums, sum)
	}
	loop(e, []reg.GPVirtual{x, y}, func(offsets []int) {
		products := registers(offsets)
		for i, at := range offsets {
			build.VMOVUPS(operand.Mem{Base: x, Disp: at}, products[i])
		}
		for i, at := range offsets {
			e.mul(operand.Mem{Base: y, Disp: at}, products[i], products[i])
		}
		for i := range offsets {
			e.add(products[i], sums[i%len(sums)], sums[i%len(sums)])
		}
	}, func() {
		to := pointer("sums")
		for i, sum := range sums {
			build.VMOVUPS(sum, operand.Mem{Base: to, Disp: i * registerBytes})
		}
	})
}

func factor(e element) {
	name := "factor" + e.name
	build.TEXT(name, build.NOSPLIT, fmt.Sprintf("func(w, h *%s, step, keep %[1]s, n int)", e.goName))
	build.Pragma("noescape")
	build.Doc(name + " is: for i := range n { w[i], h[i] = keep*w[i] + step*h[i], keep*h[i] + step*w[i] }, products rounded")
	w, h := pointer("w"), pointer("h")
	step, keep := e.all("step"), e.all("keep")
	loop(e, []reg.GPVirtual{w, h}, func(offsets []int) {
		was, had := registers(offsets), registers(offsets)
		for i, at := range offsets {
			build.VMOVUPS(operand.Mem{Base: w, Disp: at}, was[i])
			build.VMOVUPS(operand.Mem{Base: h, Disp: at}, had[i])
		}
		for i, at := range offsets {
			e.blend(keep, was[i], step, had[i], operand.Mem{Base: w, Disp: at})
			e.blend(keep, had[i], step, was[i], operand.Mem{Base: h, Disp: at})
		}
	})
}

// blend stores a*x + b*y.
func (e element) blend(a, x, b, y reg.VecVirtual, to operand.Mem) {
	left, right := build.YMM(), build.YMM()
	e.mul(a, x, left)
	e.mul(b, y, right)
	e.add(right, left, left)
	build.VMOVUPS(left, to)
}

// all is a register with a parameter in every place. It comes from memory: to
// load it into half a register first takes an instruction without the V, which
// costs 100 ns when the upper half of any other is in use.
func (e element) all(param string) reg.VecVirtual {
	at, err := build.Param(param).Resolve()
	if err != nil {
		panic(err) // of this program
	}
	all := build.YMM()
	e.broadcast(at.Addr, all)
	return all
}

// loop has body work on the registers at some offsets from the pointers: as
// often as goes on unroll of them, then on eight elements. After n elements,
// and what is to be done then, it returns from the function.
func loop(e element, pointers []reg.GPVirtual, body func(offsets []int), then ...func()) {
	n := build.Load(build.Param("n"), build.GP64())
	turn := func(label, next string, registers int) {
		elements := registers * registerBytes / e.bytes
		var offsets []int
		for i := range registers {
			offsets = append(offsets, i*registerBytes)
		}
		build.Label(label)
		build.CMPQ(n, operand.U32(elements))
		build.JL(operand.LabelRef(next))
		body(offsets)
		for _, p := range pointers {
			build.ADDQ(operand.U32(registers*registerBytes), p)
		}
		build.SUBQ(operand.U32(elements), n)
		build.JMP(operand.LabelRef(label))
	}
	turn("many", "one", unroll)
	turn("one", "done", lanes*e.bytes/registerBytes)
	build.Label("done")
	for _, f := range then {
		f()
	}
	build.VZEROUPPER()
	build.RET()
}

const registerBytes = 32

func pointer(param string) reg.GPVirtual {
	return build.Load(build.Param(param), build.GP64()).(reg.GPVirtual)
}

func registers(offsets []int) (r []reg.VecVirtual) {
	for range offsets {
		r = append(r, build.YMM())
	}
	return r
}
