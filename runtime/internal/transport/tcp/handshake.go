package tcp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	stderrors "errors"
)

// The handshake has four messages of fixed length. The dialer proves with the
// first one already that it knows the secret, so that a stranger is refused
// before it is told anything, and both sides prove it again over the other's
// fresh nonce, so that nothing recorded earlier is of use:
//
//	dialer → acceptor  hello      who I am, whom I want, job, nonce, MAC of these
//	acceptor → dialer  challenge  nonce, MAC over hello and nonce
//	dialer → acceptor  proof      MAC over hello and challenge
//	acceptor → dialer  welcome    MAC over hello, challenge and proof
//
// Every MAC is HMAC-SHA256 under a key derived from the secret and the job,
// over a label of its own: no message can stand for another, nor be reflected.
//
// A hello is, in bytes: 0 magic, 8 byte-order mark (in the sender's own order),
// 12 role, 13 zero, 16 sender's rank, 20 receiver's rank (both little-endian),
// 24 digest of the job, 56 nonce, 88 MAC.
const (
	magic     = "sspurn\x00\x01" // last byte: version of the handshake
	orderMark = 0x01020304
	roleRank  = 1

	nonceSize     = 32
	macSize       = sha256.Size
	helloSize     = 88 + macSize
	challengeSize = nonceSize + macSize
)

// Why a peer is refused.
var (
	errGarbage = stderrors.New("does not speak the mesh's protocol")
	errOrder   = stderrors.New("machine of another byte order")
	errJob     = stderrors.New("belongs to another job")
	errSecret  = stderrors.New("does not know the job's secret")
	errRank    = stderrors.New("claims a wrong rank")
)

// keys is what authenticates the members of one job to one another.
type keys struct {
	mac []byte            // key of all MACs
	job [sha256.Size]byte // digest that a hello names the job by
}

func newKeys(job string, secret []byte) keys {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("sspurn mesh key\x00"))
	m.Write([]byte(job))
	return keys{mac: m.Sum(nil), job: sha256.Sum256([]byte(job))}
}

// sum is the MAC under label over parts, all of which have fixed lengths.
func (k *keys) sum(label string, parts ...[]byte) (out [macSize]byte) {
	m := hmac.New(sha256.New, k.mac)
	m.Write([]byte(label))
	m.Write([]byte{0})
	for _, p := range parts {
		m.Write(p)
	}
	m.Sum(out[:0])
	return out
}

// verify compares in constant time.
func (k *keys) verify(mac []byte, label string, parts ...[]byte) error {
	want := k.sum(label, parts...)
	if !hmac.Equal(mac, want[:]) {
		return errSecret
	}
	return nil
}

// hello is the dialer's first message, from rank to rank.
func (k *keys) hello(from, to int, nonce [nonceSize]byte) (b [helloSize]byte) {
	copy(b[:], magic)
	binary.NativeEndian.PutUint32(b[8:], orderMark)
	b[12] = roleRank
	binary.LittleEndian.PutUint32(b[16:], uint32(from))
	binary.LittleEndian.PutUint32(b[20:], uint32(to))
	copy(b[24:], k.job[:])
	copy(b[56:], nonce[:])
	mac := k.sum("hello", b[:88])
	copy(b[88:], mac[:])
	return b
}

// readHello checks a hello that reached rank self of a job of size ranks and
// returns the rank it comes from.
func (k *keys) readHello(b *[helloSize]byte, self, size int) (from int, err error) {
	if string(b[:8]) != magic {
		return 0, errGarbage
	}
	if binary.NativeEndian.Uint32(b[8:]) != orderMark {
		return 0, errOrder
	}
	if !hmac.Equal(b[24:56], k.job[:]) {
		return 0, errJob
	}
	if err := k.verify(b[88:], "hello", b[:88]); err != nil {
		return 0, err
	}
	if b[12] != roleRank || b[13]|b[14]|b[15] != 0 {
		return 0, errGarbage
	}
	f, to := binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint32(b[20:])
	if uint64(to) != uint64(self) || uint64(f) >= uint64(size) || f == to {
		return 0, errRank
	}
	return int(f), nil
}

// challenge is the acceptor's answer to a hello.
func (k *keys) challenge(hello *[helloSize]byte, nonce [nonceSize]byte) (b [challengeSize]byte) {
	copy(b[:], nonce[:])
	mac := k.sum("challenge", hello[:], b[:nonceSize])
	copy(b[nonceSize:], mac[:])
	return b
}

func (k *keys) readChallenge(hello *[helloSize]byte, b *[challengeSize]byte) error {
	return k.verify(b[nonceSize:], "challenge", hello[:], b[:nonceSize])
}

// proof is the dialer's answer to a challenge.
func (k *keys) proof(hello *[helloSize]byte, ch *[challengeSize]byte) [macSize]byte {
	return k.sum("proof", hello[:], ch[:])
}

func (k *keys) readProof(hello *[helloSize]byte, ch *[challengeSize]byte, b *[macSize]byte) error {
	return k.verify(b[:], "proof", hello[:], ch[:])
}

// welcome ends the handshake: the acceptor counts the dialer in.
func (k *keys) welcome(hello *[helloSize]byte, ch *[challengeSize]byte, proof *[macSize]byte) [macSize]byte {
	return k.sum("welcome", hello[:], ch[:], proof[:])
}

func (k *keys) readWelcome(hello *[helloSize]byte, ch *[challengeSize]byte, proof, b *[macSize]byte) error {
	return k.verify(b[:], "welcome", hello[:], ch[:], proof[:])
}

// dials reports whether, of the pair of ranks a and b, a dials and b accepts.
// The higher rank dials when their sum is even, the lower when it is odd: every
// rank dials about half of its peers.
func dials(a, b int) bool {
	return a != b && (a > b) == ((a+b)%2 == 0)
}
