package endpoint

import (
	"encoding/binary"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// gzipHeader begins a gzip stream without name and time.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}

// lastBlock is an empty final deflate block.
var lastBlock = []byte{3, 0}

// gzipParts puts deflated blocks together into one gzip stream.
type gzipParts struct {
	body []byte
	crc  uint32
	size uint32
}

func newGzipParts(size int) *gzipParts {
	g := &gzipParts{body: make([]byte, 0, size)}
	g.body = append(g.body, gzipHeader...)
	return g
}

func (g *gzipParts) add(b *watchcache.Block) {
	g.body = append(g.body, b.Deflated...)
	g.crc = combineCRC(g.crc, b.CRC, int64(b.Size))
	g.size += uint32(b.Size)
}

func (g *gzipParts) plain(p []byte) error {
	b, err := watchcache.Deflate(p)
	if err == nil {
		g.add(b)
	}
	return err
}

func (g *gzipParts) finish() []byte {
	out := append(g.body, lastBlock...)
	out = binary.LittleEndian.AppendUint32(out, g.crc)
	return binary.LittleEndian.AppendUint32(out, g.size)
}

// writeList answers a list: from blocks that are deflated once and shared, where the client takes gzip and
// the list is large; else from shared plain bytes.
func (s *Served) writeList(w http.ResponseWriter, r *http.Request, f format, p *page) {
	if !takesGzip(r) || f.pretty || f.media == mediaYAML || s.View != nil || s.Stored != nil || len(p.entries) < 32 {
		s.writePlainList(w, r, f, p)
		return
	}
	body, plainSize, err := s.gzipList(f, p)
	if err != nil {
		fail(w, r, apierrors.NewInternalError(err))
		return
	}
	if plainSize < compressFrom {
		s.writePlainList(w, r, f, p)
		return
	}
	header(w, r, f)
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Add("Vary", "Accept-Encoding")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}

func (s *Served) writePlainList(w http.ResponseWriter, r *http.Request, f format, p *page) {
	b, err := s.listBytes(f, p)
	if err != nil {
		fail(w, r, apierrors.NewInternalError(err))
		return
	}
	writeBytes(w, r, f, http.StatusOK, b)
}

// gzipList is listBytes deflated, made of the entries' own blocks. In JSON each block is an item with a
// comma before it; the first item is therefore deflated without. In protobuf it is an item with its tag.
func (s *Served) gzipList(f format, p *page) (body []byte, plainSize int, err error) {
	blocks := make([]*watchcache.Block, len(p.entries))
	size, plain := 1024, 0
	for i, e := range p.entries {
		frame := withComma
		if f.media == mediaProtobuf {
			frame = withTag
		}
		if blocks[i], err = e.Deflated(f.encoding(), frame); err != nil {
			return nil, 0, err
		}
		size += len(blocks[i].Deflated)
		plain += blocks[i].Size
	}
	g := newGzipParts(size)
	if f.media == mediaProtobuf {
		meta, err := p.meta.Marshal()
		if err != nil {
			return nil, 0, err
		}
		inner := pbField(nil, 1, meta)
		if err := g.plain(append(envelopeHead(s.listKind(), len(inner)+plain), inner...)); err != nil {
			return nil, 0, err
		}
		for _, b := range blocks {
			g.add(b)
		}
		if err := g.plain(envelopeTail); err != nil {
			return nil, 0, err
		}
		return g.finish(), plain, nil
	}
	empty, err := s.listBytes(f, &page{meta: p.meta, entries: p.entries[:1]})
	if err != nil {
		return nil, 0, err
	}
	if err := g.plain(empty[:len(empty)-len("]}\n")]); err != nil {
		return nil, 0, err
	}
	for _, b := range blocks[1:] {
		g.add(b)
	}
	if err := g.plain([]byte("]}\n")); err != nil {
		return nil, 0, err
	}
	return g.finish(), plain, nil
}

func withComma(b []byte) []byte { return append([]byte{','}, b...) }

func withTag(b []byte) []byte { return pbField(make([]byte, 0, len(b)+8), 2, b) }
