package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// streamFrom is how many stored bytes the objects of a list have from which its answer is streamed, made of what
// lists share. A smaller one is made of what reads share and dressed as a whole, and its length is told.
const streamFrom = 64 << 10

// listing is how the objects of a list are written.
type listing struct {
	kind schema.GroupVersionKind // of the list
	form any                     // names what item appends
	item appender
}

// deepest is how many brackets an object opens at least that is nested too deep to be indented in a list. encoding/json
// goes down 10,000, of which a table takes three. What is stored as protobuf holds as JSON what nests without end.
const deepest = 10_000 - 2

// mayFail says whether one of the objects may turn out to be unreadable, or to have no such form: then nothing may
// be sent before all have been made.
func (s *Served) mayFail(f format, p *page) bool {
	return f.media == mediaYAML || slices.ContainsFunc(p.entries, func(e *watchcache.Entry) bool {
		return !e.Decodable() || !s.IsKeptOwn(e) || f.pretty && bytes.Count(e.Value(), []byte("{"))+bytes.Count(e.Value(), []byte("[")) >= deepest
	})
}

// stored is how many bytes the objects of a page have as they are stored.
func (p *page) stored() (n int) {
	for _, e := range p.entries {
		n += len(e.Value())
	}
	return n
}

// filler puts a list's answer together, in a form, of what lists share or of what reads share.
type filler func(out parts, f format, shared bool) error

// respond answers with what fill puts together.
func (s *Served) respond(w http.ResponseWriter, r *http.Request, f format, p *page, fill filler) {
	if p.stored() < streamFrom {
		s.whole(w, r, f, fill)
		return
	}
	s.pieces(w, r, f, p, fill)
}

// pieces answers with what fill puts together piece by piece.
func (s *Served) pieces(w http.ResponseWriter, r *http.Request, f format, p *page, fill filler) {
	send := func(out blocks) error {
		if err := fill(out, f, true); err != nil || f.media == mediaProtobuf || f.dresses() {
			return err
		}
		return out.text([]byte("\n"))
	}
	if s.mayFail(f, p) {
		all := &held{cache: s.Cache}
		if err := send(all); err != nil {
			fail(w, r, err)
			return
		}
		send = all.send
	}
	s.stream(w, r, f, send)
}

// whole answers with what fill puts together, once all of it is there.
func (s *Served) whole(w http.ResponseWriter, r *http.Request, f format, fill filler) {
	out := gatherers.Get().(*gathered)
	defer out.release()
	err := fill(out, f.undressed(), false)
	body := out.body
	switch {
	case err != nil || f.media == mediaProtobuf:
	case f.dresses():
		body, err = dressed(body, f)
	default:
		err = out.text([]byte("\n"))
		body = out.body
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	_ = writeBytes(w, r, f, http.StatusOK, body)
}

// writeList answers a list of objects, or of their metadata.
func (s *Served) writeList(w http.ResponseWriter, r *http.Request, f format, p *page) {
	s.respond(w, r, f, p, s.fillList(p))
}

func (s *Served) fillList(p *page) filler {
	return func(out parts, f format, shared bool) error {
		l := s.listing(f, shared)
		if f.media == mediaProtobuf {
			return s.protobufList(out, l, p)
		}
		return s.jsonList(out, l, f, p)
	}
}

// itemForm names the form of an item of lists.
type itemForm struct {
	kind    schema.GroupVersionKind
	as      string
	version string
	media   string
	pretty  bool
}

// listing says how a list's objects are written. Where what is made is shared by lists, nothing is kept that is
// made on the way.
func (s *Served) listing(f format, shared bool) listing {
	plain := s.appendKept
	if shared {
		plain = s.appendPassing
	}
	l := listing{kind: s.listKind(), form: itemForm{s.Kind, f.as, f.version, f.media, f.pretty && f.dresses()}}
	enc := f.encoding()
	item := func(to []byte, e *watchcache.Entry) ([]byte, error) { return plain(to, e, enc) }
	if f.as == asPartialList {
		l.kind = schema.FromAPIVersionAndKind(f.version, asPartialList)
		item = func(to []byte, e *watchcache.Entry) ([]byte, error) {
			b, err := s.partialItem(e, f)
			return append(to, b...), err
		}
	}
	l.item = func(to []byte, e *watchcache.Entry) ([]byte, error) {
		if f.media == mediaProtobuf {
			b, err := item(nil, e)
			return pbField(to, itemsField, b), err
		}
		if len(to) > 0 {
			to = append(to, f.between()...)
		}
		at := len(to)
		to, err := item(to, e)
		if err != nil || !f.dresses() {
			return to, err
		}
		b, err := dressedItems(to[at:], f)
		return append(to[:at], b...), err
	}
	return l
}

// appendKept is appendOf for a small list, which clients ask for again and again.
func (s *Served) appendKept(to []byte, e *watchcache.Entry, enc watchcache.Encoding) ([]byte, error) {
	if s.View == nil && s.IsKeptOwn(e) {
		return e.AppendKept(to, enc)
	}
	return s.appendOf(to, e, enc)
}

// appendPassing is appendOf for who needs the bytes but once.
func (s *Served) appendPassing(to []byte, e *watchcache.Entry, enc watchcache.Encoding) ([]byte, error) {
	if s.View == nil && s.IsKeptOwn(e) {
		return e.AppendPassing(to, enc)
	}
	o, err := s.passingObject(e)
	if err != nil {
		return nil, err
	}
	v, err := s.fromStored(o)
	if err != nil {
		return nil, err
	}
	b, err := resource.Wire(v, enc)
	return append(to, b...), err
}

// partialItem is an object's metadata as an item.
func (s *Served) partialItem(e *watchcache.Entry, f format) ([]byte, error) {
	o, err := s.passingObject(e)
	if err != nil {
		return nil, err
	}
	if p := s.partial(o, f.version); f.media != mediaProtobuf {
		return objectjson.Marshal(p)
	} else {
		return p.Marshal()
	}
}

// passingObject is an entry's object in the store's own version, for who needs it but once.
func (s *Served) passingObject(e *watchcache.Entry) (resource.Object, error) {
	if s.IsKeptOwn(e) {
		return e.PassingObject()
	}
	return s.Object(e)
}

// listMeta is a list's metadata. Lists of custom resources always tell where they go on.
func (s *Served) listMeta(f format, p *page) ([]byte, error) {
	if !s.custom() || f.as != "" {
		return json.Marshal(p.meta)
	}
	return json.Marshal(struct {
		Continue  string `json:"continue"`
		Remaining *int64 `json:"remainingItemCount,omitempty"`
		Version   string `json:"resourceVersion"`
	}{p.meta.Continue, p.meta.RemainingItemCount, p.meta.ResourceVersion})
}

func (s *Served) jsonList(out parts, l listing, f format, p *page) error {
	meta, err := s.listMeta(f, p)
	if err != nil {
		return err
	}
	before := fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q,"metadata":%s,"items":`, l.kind.Kind, l.kind.GroupVersion().String(), meta)
	if len(p.entries) == 0 { // and dressed as a whole
		none := "[]}"
		if f.as == asPartialList {
			none = "null}"
		}
		return out.text(append(before, none...))
	}
	around, err := framed(before, f)
	if err != nil {
		return err
	}
	between := around.head
	for run := range watchcache.Runs(p.entries) {
		if err := out.text(between); err != nil {
			return err
		}
		if err := out.run(l.form, run, l.item); err != nil {
			return err
		}
		between = []byte(f.between())
	}
	return out.text(around.tail)
}

// The fields of a list's message.
const (
	metaField  = 1
	itemsField = 2
)

// protobufList says first how long the whole is.
func (s *Served) protobufList(out parts, l listing, p *page) error {
	meta, err := p.meta.Marshal()
	if err != nil {
		return err
	}
	meta = pbField(nil, metaField, meta)
	size := len(meta)
	for run := range watchcache.Runs(p.entries) {
		n, err := s.plainSize(l, run)
		if err != nil {
			return err
		}
		size += n
	}
	if err := out.text(append(envelopeHead(l.kind, size), meta...)); err != nil {
		return err
	}
	for run := range watchcache.Runs(p.entries) {
		if err := out.run(l.form, run, l.item); err != nil {
			return err
		}
	}
	return out.text(envelopeTail)
}

// plainSize is the size of a run in a list.
func (s *Served) plainSize(l listing, run []*watchcache.Entry) (size int, err error) {
	if n, ok := s.Cache.PlainSize(l.form, run); ok {
		return n, nil
	}
	var one []byte
	for _, e := range run {
		if one, err = l.item(one[:0], e); err != nil {
			return 0, err
		}
		size += len(one)
	}
	return size, nil
}
