package watchcache

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// deflateWriter writes short pieces of one text as blocks of deflate (RFC 1951) with its fixed codes. The writers of
// compress/flate and of klauspost/compress count letters and build codes for each block, which takes most of the time
// where blocks are short, and the fast ones forget at each end of a block what they have seen.
type deflateWriter struct {
	text  []byte // all so far
	out   []byte
	bits  uint64
	n     uint
	table [1 << tableBits]int32 // where four bytes with a hash stood last, plus one
}

const (
	tableBits   = 13
	leastMatch  = 4
	mostMatch   = 258
	mostBack    = 1 << 15
	endOfBlock  = 256
	firstLength = 257
)

var deflateWriters = sync.Pool{New: func() any { return &deflateWriter{} }}

func (w *deflateWriter) reset() {
	w.text, w.out, w.bits, w.n = w.text[:0], w.out[:0], 0, 0
	clear(w.table[:])
}

func (w *deflateWriter) put(value uint64, n uint) {
	w.bits |= value << w.n
	w.n += n
	if w.n >= 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.bits))
		w.bits >>= 32
		w.n -= 32
	}
}

// align writes the type of a block that is not compressed, which begins at the next byte's boundary.
func (w *deflateWriter) align() {
	w.put(0, 3)
	for w.n > 0 {
		w.out = append(w.out, byte(w.bits))
		w.bits >>= 8
		w.n -= min(w.n, 8)
	}
}

// block writes a piece.
func (w *deflateWriter) block(plain []byte) {
	from := len(w.text)
	w.text = append(w.text, plain...)
	w.put(0b010, 3) // not the last one; fixed codes
	for i := from; i < len(w.text); {
		n, back := w.match(i)
		if n == 0 {
			w.symbol(int(w.text[i]))
			i++
			continue
		}
		w.copied(n, back)
		i += n
		if i-2 > from && i+2 <= len(w.text) { // so that what follows is found again together with the end of this
			w.table[hash(w.text[i-2:])] = int32(i - 2 + 1)
		}
	}
	w.symbol(endOfBlock)
}

func hash(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 0x9e3779b1 >> (32 - tableBits) }

// match finds what stands at i again before it, and remembers i.
func (w *deflateWriter) match(i int) (n, back int) {
	rest := w.text[i:]
	if len(rest) < leastMatch {
		return 0, 0
	}
	slot := &w.table[hash(rest)]
	at := int(*slot) - 1
	*slot = int32(i + 1)
	if back = i - at; at < 0 || back > mostBack {
		return 0, 0
	}
	before, most := w.text[at:], min(len(rest), mostMatch)
	for n+8 <= most {
		if d := binary.LittleEndian.Uint64(rest[n:]) ^ binary.LittleEndian.Uint64(before[n:]); d != 0 {
			n += bits.TrailingZeros64(d) / 8
			if n < leastMatch {
				return 0, 0
			}
			return n, back
		}
		n += 8
	}
	for n < most && rest[n] == before[n] {
		n++
	}
	if n < leastMatch {
		return 0, 0
	}
	return n, back
}

// code is a symbol's bits, in the order in which they are written, and their number.
type code struct {
	bits uint16
	n    uint8
}

// fixedCodes are those of letters and lengths.
var fixedCodes = func() (out [288]code) {
	for s := range out {
		value, n := 0, 8
		switch {
		case s < 144:
			value = 0x30 + s
		case s < 256:
			value, n = 0x190+s-144, 9
		case s < 280:
			value, n = s-256, 7
		default:
			value = 0xc0 + s - 280
		}
		out[s] = code{bits.Reverse16(uint16(value)) >> (16 - n), uint8(n)}
	}
	return out
}()

func (w *deflateWriter) symbol(s int) {
	c := fixedCodes[s]
	w.put(uint64(c.bits), uint(c.n))
}

// copied writes that n bytes are those that stand back bytes before.
func (w *deflateWriter) copied(n, back int) {
	if n == mostMatch {
		w.symbol(285)
	} else {
		group, rest, extra := grouped(n-3, 2)
		w.symbol(firstLength + group)
		w.put(uint64(rest), extra)
	}
	group, rest, extra := grouped(back-1, 1)
	w.put(uint64(bits.Reverse8(uint8(group))>>3), 5)
	w.put(uint64(rest), extra)
}

// grouped gives the group of a number, and what is added to the group's first, in so many bits. Each power of two from
// the (fine+1)th on is divided into 2^fine groups.
func grouped(v int, fine uint) (group, rest int, extra uint) {
	if v < 2<<fine {
		return v, 0, 0
	}
	extra = uint(bits.Len(uint(v))) - 1 - fine
	group = int(extra+1)<<fine + v>>extra - 1<<fine
	return group, v & (1<<extra - 1), extra
}
