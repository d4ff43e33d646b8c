package watchcache

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Gapped is a text with gaps, deflated: who has the texts for the gaps fills them in without deflating anything. What
// stands after a gap refers to what stands before it, so the gaps' lengths are settled; it refers to nothing in them.
type Gapped struct {
	deflated []byte // pieces one after another; each but the last ends where a stored block tells its length
	pieces   []piece
	lengths  []int // of the gaps between pieces
}

type piece struct {
	end  int // in deflated
	crc  uint32
	size int
}

// filler stands for what is in a gap while the text is deflated: a byte that no JSON has, so that nothing refers to it.
const filler = 1

// NewGapped deflates a text that has a gap of lengths[i] bytes before its byte at[i].
func NewGapped(text []byte, at, lengths []int) *Gapped {
	g := &Gapped{pieces: make([]piece, 0, len(at)+1), lengths: lengths}
	w := deflateWriters.Get().(*deflateWriter)
	defer deflateWriters.Put(w)
	w.reset()
	from := 0
	for i := range len(at) + 1 {
		to := len(text)
		if i < len(at) {
			to = at[i]
		}
		plain := text[from:to]
		w.block(plain)
		if w.align(); i < len(at) {
			w.text = append(w.text, bytes.Repeat([]byte{filler}, lengths[i])...)
		} else {
			w.out = AppendStoredLength(w.out, 0)
		}
		g.pieces = append(g.pieces, piece{end: len(w.out), crc: crc32.ChecksumIEEE(plain), size: len(plain)})
		from = to
	}
	g.deflated = bytes.Clone(w.out)
	return g
}

// Fits says whether texts have the lengths of the gaps.
func (g *Gapped) Fits(texts [][]byte) bool {
	if len(texts) != len(g.lengths) {
		return false
	}
	for i, t := range texts {
		if len(t) != g.lengths[i] {
			return false
		}
	}
	return true
}

// Filled is the text with its gaps filled, as a block whose bytes are appended to to.
func (g *Gapped) Filled(to []byte, texts [][]byte) *Block {
	b := &Block{}
	begin, from := len(to), 0
	for i, p := range g.pieces {
		to = append(to, g.deflated[from:p.end]...)
		from = p.end
		b.CRC = CombineCRC(b.CRC, p.crc, int64(p.size))
		b.Size += p.size
		if i < len(texts) {
			to = append(AppendStoredLength(to, len(texts[i])), texts[i]...)
			b.CRC = crc32.Update(b.CRC, crc32.IEEETable, texts[i])
			b.Size += len(texts[i])
		}
	}
	b.Deflated = to[begin:]
	return b
}

// Size is about what it takes in memory.
func (g *Gapped) Size() int { return len(g.deflated) + 24*len(g.pieces) + 8*len(g.lengths) }

// MostStored is how much a block of deflate holds that is not compressed.
const MostStored = 1<<16 - 1

// AppendStoredLength appends, at a byte's boundary and after the type of a block that is not compressed, how many bytes
// follow, at most MostStored.
func AppendStoredLength(to []byte, n int) []byte {
	to = binary.LittleEndian.AppendUint16(to, uint16(n))
	return binary.LittleEndian.AppendUint16(to, ^uint16(n))
}
