package endpoint

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/flate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// parts takes a list's answer piece by piece.
type parts interface {
	// text is a piece that belongs to this answer alone.
	text(p []byte) error
	// run is a piece that lists share: what plain appends for each entry to what it has appended for those before.
	run(form any, run []*watchcache.Entry, plain appender) error
}

// appender appends an entry in some form.
type appender func(to []byte, e *watchcache.Entry) ([]byte, error)

// blocks take pieces that were deflated elsewhere as well.
type blocks interface {
	parts
	// block is a piece that may change once it has been taken.
	block(b *watchcache.Block) error
}

// gathered holds a whole answer, a small one.
type gathered struct{ body, piece []byte }

var gatherers = sync.Pool{New: func() any { return &gathered{} }}

// mostGathered bounds what is kept for the next answer.
const mostGathered = 256 << 10

// release gives back what a small answer was put together in, once it has been sent.
func (g *gathered) release() {
	if cap(g.body) <= mostGathered && cap(g.piece) <= mostGathered {
		g.body, g.piece = g.body[:0], g.piece[:0]
		gatherers.Put(g)
	}
}

func (g *gathered) text(p []byte) error {
	g.body = append(g.body, p...)
	return nil
}

func (g *gathered) run(_ any, run []*watchcache.Entry, plain appender) (err error) {
	g.piece = g.piece[:0]
	for _, e := range run {
		if g.piece, err = plain(g.piece, e); err != nil {
			return err
		}
	}
	return g.text(g.piece)
}

// held keeps an answer deflated until all of it has been made: a tenth, or so, of its size.
type held struct {
	cache  *watchcache.Cache
	pieces []heldPiece
}

// heldPiece is a block, or a text where there is none.
type heldPiece struct {
	text  []byte
	block *watchcache.Block
}

func (h *held) text(p []byte) error {
	h.pieces = append(h.pieces, heldPiece{text: bytes.Clone(p)})
	return nil
}

func (h *held) run(form any, run []*watchcache.Entry, plain appender) error {
	b, err := h.cache.Block(form, run, plain)
	if err != nil {
		return err
	}
	h.pieces = append(h.pieces, heldPiece{block: b})
	return nil
}

func (h *held) block(b *watchcache.Block) error {
	h.pieces = append(h.pieces, heldPiece{block: &watchcache.Block{Deflated: bytes.Clone(b.Deflated), CRC: b.CRC, Size: b.Size}})
	return nil
}

// send passes on what is held.
func (h *held) send(out blocks) (err error) {
	for _, p := range h.pieces {
		if p.block != nil {
			err = out.block(p.block)
		} else {
			err = out.text(p.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// streamed sends an answer on its way while it is put together, so that the largest takes no more than a buffer.
// A client that takes gzip gets one stream of blocks that are deflated once for all.
type streamed struct {
	w     http.ResponseWriter
	r     *http.Request
	f     format
	cache *watchcache.Cache
	gzip  bool
	begun bool
	buf   *[]byte
	crc   uint32 // of what was sent, and its size, before it was deflated
	size  uint32
}

// streamBuffer is how much is gathered before it is sent.
const streamBuffer = 64 << 10

var streamBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, streamBuffer)
	return &b
}}

// gzipHeader begins a gzip stream without name and time.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}

// lastBlock is an empty final deflate block.
var lastBlock = []byte{3, 0}

// stream answers with what fill puts together. A failure before the first bytes have gone is answered; a later one
// breaks the answer off, for its client must not take a part for the whole.
func (s *Served) stream(w http.ResponseWriter, r *http.Request, f format, fill func(blocks) error) {
	out := &streamed{w: w, r: r, f: f, cache: s.Cache, gzip: TakesGzip(r), buf: streamBuffers.Get().(*[]byte)}
	defer func() {
		*out.buf = (*out.buf)[:0]
		streamBuffers.Put(out.buf)
	}()
	err := out.fill(fill)
	switch {
	case err == nil:
	case out.begun:
		panic(http.ErrAbortHandler)
	default:
		fail(w, r, apierrors.NewInternalError(err))
	}
}

func (o *streamed) fill(fill func(blocks) error) error {
	if !o.gzip {
		if err := fill(o); err != nil {
			return err
		}
		return o.flush()
	}
	*o.buf = append(*o.buf, gzipHeader...)
	if err := fill(o); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(lastBlock[:len(lastBlock):len(lastBlock)], o.crc)
	if err := o.raw(binary.LittleEndian.AppendUint32(end, o.size)); err != nil {
		return err
	}
	return o.flush()
}

func (o *streamed) flush() error {
	if !o.begun {
		o.begun = true
		header(o.w, o.r, o.f)
		if o.gzip {
			o.w.Header().Set("Content-Encoding", "gzip")
			o.w.Header().Add("Vary", "Accept-Encoding")
		}
		o.w.WriteHeader(http.StatusOK)
	}
	_, err := o.w.Write(*o.buf)
	*o.buf = (*o.buf)[:0]
	return err
}

// raw sends bytes as they are.
func (o *streamed) raw(p []byte) error {
	for len(*o.buf)+len(p) > streamBuffer {
		n := streamBuffer - len(*o.buf)
		*o.buf = append(*o.buf, p[:n]...)
		p = p[n:]
		if err := o.flush(); err != nil {
			return err
		}
	}
	*o.buf = append(*o.buf, p...)
	return nil
}

// text is not worth compressing.
func (o *streamed) text(p []byte) error {
	if !o.gzip {
		return o.raw(p)
	}
	o.crc = crc32.Update(o.crc, crc32.IEEETable, p)
	o.size += uint32(len(p))
	var head [5]byte
	for len(p) > 0 {
		n := min(len(p), watchcache.MostStored)
		if err := o.raw(watchcache.AppendStoredLength(head[:1], n)); err != nil {
			return err
		}
		if err := o.raw(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (o *streamed) run(form any, run []*watchcache.Entry, plain appender) error {
	b, err := o.cache.Block(form, run, plain)
	if err != nil {
		return err
	}
	return o.block(b)
}

func (o *streamed) block(b *watchcache.Block) error {
	if !o.gzip {
		return o.inflate(b)
	}
	o.crc = watchcache.CombineCRC(o.crc, b.CRC, int64(b.Size))
	o.size += uint32(b.Size)
	return o.raw(b.Deflated)
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

// inflate sends a block to a client that does not take it as it is.
func (o *streamed) inflate(b *watchcache.Block) error {
	z := inflaters.Get().(io.Reader)
	defer inflaters.Put(z)
	if err := z.(flate.Resetter).Reset(bytes.NewReader(b.Deflated), nil); err != nil {
		return err
	}
	for left := b.Size; left > 0; {
		if len(*o.buf) == streamBuffer {
			if err := o.flush(); err != nil {
				return err
			}
		}
		n := len(*o.buf)
		read, err := io.ReadFull(z, (*o.buf)[n:min(streamBuffer, n+left)])
		if err != nil {
			return err
		}
		*o.buf = (*o.buf)[:n+read]
		left -= read
	}
	return nil
}
