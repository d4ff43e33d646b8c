package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/munnerz/goautoneg"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/lazy"
)

// Content types of the documents in protobuf, as clients name them.
const (
	protobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
	protobufV3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
)

// Handler answers with the documents of what an endpoint serves now.
type Handler struct {
	served func() []*endpoint.Served
	types  *runtime.Scheme
	since  time.Time

	mu    sync.Mutex
	docs  *documents
	stale bool
}

// documents are those of one state of what is served. They are kept compressed.
type documents struct {
	served   []*endpoint.Served
	versions []schema.GroupVersion
	v2       lazy.Value[*document]
	v3       map[string]*part // by the path under /openapi/v3/
}

// part is what one document of v3 describes: a group version, or a path that belongs to none.
type part struct {
	gv   schema.GroupVersion
	root string // the path; empty for a group version
	doc  *lazy.Value[*document]
}

// document is one in JSON and, as soon as somebody asks for that, in protobuf, both gzipped. The hash, in hex, is that
// of its JSON.
type document struct {
	packed   []byte
	hash     string
	protobuf lazy.Value[[]byte]
}

// New describes what served gives with the types that it is made of. Documents that never changed were last
// modified at since.
func New(served func() []*endpoint.Served, types *runtime.Scheme, since time.Time) *Handler {
	return &Handler{served: served, types: types, since: since}
}

// Changed makes those documents anew whose resources are not what they were, when they are next asked for.
func (h *Handler) Changed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stale = true
}

func (h *Handler) current() *documents {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.docs != nil && !h.stale {
		return h.docs
	}
	d := &documents{served: h.served(), v3: map[string]*part{}}
	slices.SortFunc(d.served, func(a, b *endpoint.Served) int { return strings.Compare(a.GVR().String(), b.GVR().String()) })
	for _, s := range d.served {
		gv := s.Kind.GroupVersion()
		if d.v3[pathOf(gv)] == nil {
			d.v3[pathOf(gv)] = &part{gv: gv, doc: &lazy.Value[*document]{}}
			d.versions = append(d.versions, gv)
		}
	}
	for path := range roots(d.served) {
		d.v3[nameOfRoot(path)] = &part{root: path, doc: &lazy.Value[*document]{}}
	}
	if h.docs != nil {
		d.keep(h.docs)
	}
	h.docs, h.stale = d, false
	return d
}

// keep takes over the documents of what is served as it was.
func (d *documents) keep(before *documents) {
	of := func(all []*endpoint.Served) map[schema.GroupVersion][]*endpoint.Served {
		out := map[schema.GroupVersion][]*endpoint.Served{}
		for _, s := range all {
			out[s.Kind.GroupVersion()] = append(out[s.Kind.GroupVersion()], s)
		}
		return out
	}
	was, now := of(before.served), of(d.served)
	for name, p := range d.v3 {
		if old := before.v3[name]; old != nil && (p.root != "" || slices.Equal(now[p.gv], was[p.gv])) {
			p.doc = old.doc
		}
	}
}

// version3 makes a document of v3; embedded gives the schemas of types when they are needed.
func (h *Handler) version3(d *documents, p *part, embedded func(*runtime.Scheme) (*definitions, error)) (*document, error) {
	return p.doc.Get(func() (*document, error) {
		types := h.types
		if p.root == "" && isCustom(p.gv, d.served) {
			types = scheme.Scheme // whose kinds the documents of custom resources list, as kube-apiserver's
		}
		known, err := embedded(types)
		if err != nil {
			return nil, err
		}
		var doc object
		if p.root != "" {
			doc, err = known.rootV3(p.root, roots(d.served)[p.root])
		} else {
			doc, err = known.documentV3(p.gv, d.served)
		}
		if err != nil {
			return nil, err
		}
		return pack(doc)
	})
}

func (h *Handler) version2(d *documents) (*document, error) {
	return d.v2.Get(func() (*document, error) {
		known, err := read(h.types)
		if err != nil {
			return nil, err
		}
		doc, err := known.documentV2(d.versions, d.served)
		if err != nil {
			return nil, err
		}
		return pack(doc)
	})
}

func pack(v any) (*document, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	packed, err := compress(plain)
	if err != nil {
		return nil, err
	}
	return &document{packed: packed, hash: fmt.Sprintf("%X", sha512.Sum512(plain))}, nil
}

func compress(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func expand(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// asProtobuf converts a document once for all: with many custom resources that takes seconds and hundreds of MiB.
func (d *document) asProtobuf(convert func([]byte) ([]byte, error)) ([]byte, error) {
	return d.protobuf.Get(func() ([]byte, error) {
		plain, err := expand(d.packed)
		if err != nil {
			return nil, err
		}
		converted, err := convert(plain)
		if err != nil {
			return nil, err
		}
		return compress(converted)
	})
}

// pathOf is a group version as paths under /openapi/v3/ have it.
func pathOf(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

// Has says whether a path is one of those that ServeHTTP answers.
func (h *Handler) Has(path string) bool {
	return path == "/openapi/v2" || path == "/openapi/v3" || strings.HasPrefix(path, "/openapi/v3/")
}

// Paths gives every path that is answered here.
func (h *Handler) Paths() []string {
	out := []string{"/openapi/v2", "/openapi/v3"}
	for name := range h.current().v3 {
		out = append(out, "/openapi/v3/"+name)
	}
	return out
}

func (d *documents) find(path string) (*part, bool) {
	name, ok := strings.CutPrefix(path, "/openapi/v3/")
	if !ok {
		return nil, false
	}
	p, ok := d.v3[name]
	return p, ok
}

// ServeHTTP answers /openapi/v2, /openapi/v3 and what stands under the latter.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := h.current()
	switch r.URL.Path {
	case "/openapi/v3":
		h.index(w, r, d)
		return
	case "/openapi/v2":
		doc, err := h.version2(d)
		if err != nil {
			endpoint.Fail(w, r, err)
			return
		}
		h.answer(w, r, doc, protobufV2, handler.ToProtoBinary, false)
		return
	}
	p, ok := d.find(r.URL.Path)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	doc, err := h.version3(d, p, read)
	if err != nil {
		endpoint.Fail(w, r, err)
		return
	}
	asked := r.URL.Query().Get("hash")
	if asked != "" && !strings.EqualFold(asked, doc.hash) {
		u := url.URL{Path: r.URL.Path, RawQuery: url.Values{"hash": {doc.hash}}.Encode()}
		http.Redirect(w, r, u.String(), http.StatusMovedPermanently)
		return
	}
	h.answer(w, r, doc, protobufV3, handler3.ToV3ProtoBinary, asked != "")
}

func (h *Handler) index(w http.ResponseWriter, r *http.Request, d *documents) {
	paths := map[string]any{}
	once := readOnce()
	for name, p := range d.v3 {
		doc, err := h.version3(d, p, once)
		if err != nil {
			endpoint.Fail(w, r, err)
			return
		}
		u := url.URL{Path: "/openapi/v3/" + name, RawQuery: url.Values{"hash": {doc.hash}}.Encode()}
		paths[name] = map[string]string{"serverRelativeURL": u.String()}
	}
	body, err := json.Marshal(map[string]any{"paths": paths})
	if err != nil {
		endpoint.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// answer sends a document in the encoding asked for; 406 where that is neither JSON nor its protobuf. Caches may keep
// what was asked for by its hash, but not that it could not be sent.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, doc *document, protobuf string, toProtobuf func([]byte) ([]byte, error), byHash bool) {
	head, tag := w.Header(), `"`+doc.hash+`"`
	head.Set("Vary", "Accept")
	media, ok := chosen(r.Header.Get("Accept"), protobuf)
	if !ok {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	head.Set("Etag", tag)
	head.Set("Last-Modified", h.since.UTC().Format(http.TimeFormat))
	head.Set("Content-Type", media)
	known := r.Header.Get("If-None-Match") == tag // of the body nothing is sent
	body, err := doc.packed, error(nil)
	if media != "application/json" && !known {
		body, err = doc.asProtobuf(toProtobuf)
	}
	switch {
	case err != nil:
	case endpoint.TakesGzip(r):
		head.Add("Vary", "Accept-Encoding")
		head.Set("Content-Encoding", "gzip")
	case !known:
		body, err = expand(body)
	}
	if err != nil {
		head.Del("Etag")
		endpoint.Fail(w, r, err)
		return
	}
	if byHash {
		head.Set("Cache-Control", "public, immutable")
		head.Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body)) // documents are told apart by their tags alone
}

// chosen picks JSON or protobuf from an Accept header. The older spelling of protobuf has an @ in it.
func chosen(accept, protobuf string) (string, bool) {
	if accept == "" {
		return "application/json", true
	}
	for _, c := range goautoneg.ParseAccept(accept) {
		switch media := c.Type + "/" + strings.Replace(c.SubType, "@v1.0", ".v1.0", 1); media {
		case "application/json", "application/*", "*/*":
			return "application/json", true
		case protobuf:
			return protobuf, true
		}
	}
	return "", false
}
