package watchcache

import (
	"bytes"
	"hash/crc32"
	"hash/maphash"
	"iter"
	"sync"

	"github.com/klauspost/compress/flate"
)

// Block is plain bytes deflated by themselves: it ends on a byte boundary and refers to nothing before it, so
// that blocks can be put one after another into one gzip stream.
type Block struct {
	Deflated []byte
	CRC      uint32 // IEEE, of the plain bytes
	Size     int    // of the plain bytes
}

// The bounds of a run: on average and at most so many entries, and no further one once so many bytes are stored.
const (
	usualRun = 16
	mostRun  = 64
	runBytes = 64 << 10
)

var runSeed = maphash.MakeSeed()

// Runs cuts entries into runs that are deflated together. Where a run begins depends on keys alone, so that
// what was made of it serves other lists too, and a change among the entries concerns one run.
func Runs(entries []*Entry) iter.Seq[[]*Entry] {
	return func(yield func([]*Entry) bool) {
		for len(entries) > 0 {
			n, size := 1, len(entries[0].value)
			for n < len(entries) && n < mostRun && size < runBytes && maphash.String(runSeed, entries[n].key)%usualRun != 0 {
				size += len(entries[n].value)
				n++
			}
			if !yield(entries[:n:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}

// Made is something that is made of a run of entries and shared by all who ask for the same form of the same
// entries. It is made anew where what there is does not serve. make tells the bytes that it takes.
func (c *Cache) Made(form any, run []*Entry, serves func(any) bool, make func() (made any, size int, err error)) (any, error) {
	return c.lists.getWhere(form, run, serves, make)
}

// deflated is a form as a block.
type deflated struct{ form any }

// Block is a run of entries in a form, deflated: what plain appends for each entry.
func (c *Cache) Block(form any, run []*Entry, plain func(to []byte, e *Entry) ([]byte, error)) (*Block, error) {
	b, err := c.lists.get(deflated{form}, run, func() (any, int, error) {
		buffer := plainBuffers.Get().(*[]byte)
		defer plainBuffers.Put(buffer)
		text, err := (*buffer)[:0], error(nil)
		for _, e := range run {
			if text, err = plain(text, e); err != nil {
				return nil, 0, err
			}
		}
		if cap(text) <= keptBuffer {
			*buffer = text
		}
		b, err := Deflate(text)
		if err != nil {
			return nil, 0, err
		}
		return b, len(b.Deflated) + 8*len(run), nil
	})
	if err != nil {
		return nil, err
	}
	return b.(*Block), nil
}

// PlainSize is the plain size of a block that is there.
func (c *Cache) PlainSize(form any, run []*Entry) (int, bool) {
	b, ok := c.lists.peek(deflated{form}, run).(*Block)
	if !ok {
		return 0, false
	}
	return b.Size, true
}

// keptBuffer bounds the buffers that are used again: an object may have megabytes.
const keptBuffer = 1 << 20

var plainBuffers = sync.Pool{New: func() any { return new([]byte) }}

type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

// level is klauspost/compress's: of those that are fast the one that does best with texts like each other.
const level = 3

var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	d.w, _ = flate.NewWriter(&d.out, level) // the level is valid
	return d
}}

// Deflate makes a block of plain bytes.
func Deflate(plain []byte) (*Block, error) {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.w.Reset(&d.out)
	if _, err := d.w.Write(plain); err != nil {
		return nil, err
	}
	if err := d.w.Flush(); err != nil { // an empty stored block: ends on a byte boundary
		return nil, err
	}
	return &Block{Deflated: bytes.Clone(d.out.Bytes()), CRC: crc32.ChecksumIEEE(plain), Size: len(plain)}, nil
}
