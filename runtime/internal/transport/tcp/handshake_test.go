package tcp

import (
	"bytes"
	stderrors "errors"
	"slices"
	"testing"
)

func TestHandshake(t *testing.T) {
	k := newKeys("job", []byte("secret"))
	hello := k.hello(3, 1, newNonce())
	from, err := k.readHello(&hello, 1, 4)
	if from != 3 || err != nil {
		t.Fatalf("hello of rank 3: %d, %v", from, err)
	}
	ch := k.challenge(&hello, newNonce())
	if err := k.readChallenge(&hello, &ch); err != nil {
		t.Fatal(err)
	}
	proof := k.proof(&hello, &ch)
	if err := k.readProof(&hello, &ch, &proof); err != nil {
		t.Fatal(err)
	}
	w := k.welcome(&hello, &ch, &proof)
	if err := k.readWelcome(&hello, &ch, &proof, &w); err != nil {
		t.Fatal(err)
	}
	// A message of one run is worth nothing in another, and none stands for
	// another.
	ch2 := k.challenge(&hello, newNonce())
	if err := k.readProof(&hello, &ch2, &proof); !stderrors.Is(err, errSecret) {
		t.Errorf("proof for another challenge: %v", err)
	}
	hello2 := k.hello(3, 1, newNonce())
	if err := k.readChallenge(&hello2, &ch); !stderrors.Is(err, errSecret) {
		t.Errorf("challenge for another hello: %v", err)
	}
	if err := k.readWelcome(&hello, &ch, &proof, &proof); !stderrors.Is(err, errSecret) {
		t.Errorf("proof as welcome: %v", err)
	}
	stranger := newKeys("job", []byte("Secret"))
	if err := stranger.readChallenge(&hello, &ch); !stderrors.Is(err, errSecret) {
		t.Errorf("challenge under another secret: %v", err)
	}
}

func TestHelloRefused(t *testing.T) {
	k := newKeys("job", []byte("secret"))
	// sealed is a hello with some bytes changed by someone who knows the secret.
	sealed := func(change func(b []byte)) [helloSize]byte {
		b := k.hello(3, 1, newNonce())
		change(b[:])
		mac := k.sum("hello", b[:88])
		copy(b[88:], mac[:])
		return b
	}
	job2, secret2 := newKeys("job2", []byte("secret")), newKeys("job", []byte("secret2"))
	tests := []struct {
		name  string
		hello [helloSize]byte
		want  error
	}{
		{"garbage", [helloSize]byte{}, errGarbage},
		{"another version", sealed(func(b []byte) { b[7]++ }), errGarbage},
		{"another byte order", sealed(func(b []byte) { slices.Reverse(b[8:12]) }), errOrder},
		{"another job", job2.hello(3, 1, newNonce()), errJob},
		{"another secret", secret2.hello(3, 1, newNonce()), errSecret},
		{"another role", sealed(func(b []byte) { b[12]++ }), errGarbage},
		{"for another rank", k.hello(3, 2, newNonce()), errRank},
		{"from a rank that does not exist", k.hello(5, 1, newNonce()), errRank},
		{"from a negative rank", k.hello(-1, 1, newNonce()), errRank},
		{"from the rank itself", k.hello(1, 1, newNonce()), errRank},
	}
	for _, test := range tests {
		if _, err := k.readHello(&test.hello, 1, 4); !stderrors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	good := k.hello(3, 1, newNonce())
	for i := range good {
		bad := good
		bad[i] ^= 0x40
		if _, err := k.readHello(&bad, 1, 4); err == nil {
			t.Errorf("byte %d changed, and accepted", i)
		}
	}
}

func TestDials(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 8, 64} {
		for a := range size {
			n := 0
			for b := range size {
				if a != b && dials(a, b) == dials(b, a) {
					t.Fatalf("%d and %d: both or neither dial", a, b)
				}
				if dials(a, b) {
					n++
				}
			}
			if n > size/2 {
				t.Errorf("rank %d of %d dials %d peers", a, size, n)
			}
		}
	}
}

// FuzzHello feeds the decoder what strangers may send. Only what was made with
// the secret gets through, and that is compared with a hello made here.
func FuzzHello(f *testing.F) {
	k := newKeys("job", []byte("secret"))
	good := k.hello(3, 1, [nonceSize]byte{1, 2, 3})
	f.Add(good[:])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, helloSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var hello [helloSize]byte
		copy(hello[:], b)
		from, err := k.readHello(&hello, 1, 4)
		if err != nil {
			return
		}
		if again := k.hello(from, 1, [nonceSize]byte(hello[56:88])); again != hello {
			t.Fatalf("accepted %x, which nobody with the secret makes", hello)
		}
	})
}
