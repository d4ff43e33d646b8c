package watchcache

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is what an entry decodes to.
type Object interface {
	runtime.Object
	metav1.Object
}

// Encoding is a form in which an object is served.
type Encoding int

// The encodings. JSON is the object without apiVersion and kind, as it stands in a list; Protobuf is the
// message without its envelope.
const (
	JSON Encoding = iota
	Protobuf
	encodings
)

// Entry is one object at one revision. It never changes; its forms are made when first asked for, once,
// and shared by all who ask.
type Entry struct {
	kind     *Kind
	key      string
	revision int64
	value    []byte // as stored
	labels   map[string]string
	fields   map[string]string

	object  atomic.Pointer[Object]
	mu      sync.Mutex // for making forms
	forms   [encodings]atomic.Pointer[[]byte]
	blocks  [encodings]atomic.Pointer[Block]
	derived sync.Map
	touched atomic.Bool // since the last sweep
}

// Block is an encoding deflated by itself: it ends on a byte boundary and refers to nothing before it, so
// that blocks can be put one after another into one gzip stream.
type Block struct {
	Deflated []byte
	CRC      uint32 // IEEE, of the plain bytes
	Size     int    // of the plain bytes
}

// Key is the key in etcd.
func (e *Entry) Key() string { return e.key }

// Revision is the object's resourceVersion.
func (e *Entry) Revision() int64 { return e.revision }

// Labels are the object's; do not change them.
func (e *Entry) Labels() map[string]string { return e.labels }

// Fields are the values that field selectors see; do not change them.
func (e *Entry) Fields() map[string]string { return e.fields }

// Value is the object as stored.
func (e *Entry) Value() []byte { return e.value }

// Object is the decoded object. It is shared: copy before changing it.
func (e *Entry) Object() (Object, error) {
	e.touched.Store(true)
	if o := e.object.Load(); o != nil {
		return *o, nil
	}
	o, err := e.kind.Decode(e.value, e.revision)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", e.key, err)
	}
	if e.kind.Large {
		return o, nil
	}
	if !e.object.CompareAndSwap(nil, &o) {
		if other := e.object.Load(); other != nil {
			return *other, nil
		}
		return o, nil
	}
	e.kind.held.add(decodedSize(e.value))
	return o, nil
}

// Bytes are the object in an encoding; do not change them.
func (e *Entry) Bytes(enc Encoding) ([]byte, error) {
	e.touched.Store(true)
	if b := e.forms[enc].Load(); b != nil {
		return *b, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.forms[enc].Load(); b != nil {
		return *b, nil
	}
	if enc == Protobuf && e.kind.Splice != nil {
		if b, ok := e.kind.Splice(e.value, e.revision); ok {
			e.forms[enc].Store(&b)
			e.kind.held.add(len(b))
			return b, nil
		}
	}
	o, err := e.Object()
	if err != nil {
		return nil, err
	}
	b, err := e.kind.Encode(o, enc)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.key, err)
	}
	e.forms[enc].Store(&b)
	e.kind.held.add(len(b))
	return b, nil
}

// Deflated is the object in an encoding as a block of a gzip stream. frame, where not nil, puts around it
// what belongs to it in a list (its tag and length in protobuf).
func (e *Entry) Deflated(enc Encoding, frame func(plain []byte) []byte) (*Block, error) {
	if b := e.blocks[enc].Load(); b != nil {
		return b, nil
	}
	plain, err := e.Bytes(enc)
	if err != nil {
		return nil, err
	}
	if frame != nil {
		plain = frame(plain)
	}
	b, err := Deflate(plain)
	if err != nil {
		return nil, err
	}
	e.blocks[enc].Store(b)
	e.kind.held.add(len(b.Deflated))
	return b, nil
}

// Derived is a further form of the object, made once for each key.
func (e *Entry) Derived(key any, make func() (any, error)) (any, error) {
	e.touched.Store(true)
	if v, ok := e.derived.Load(key); ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return nil, err
	}
	v, _ = e.derived.LoadOrStore(key, v)
	return v, nil
}

// forget drops the forms that can be made again, unless they were used since the last time.
func (e *Entry) forget() {
	if !e.touched.Swap(false) {
		e.drop()
	}
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	return w
}}

// Deflate makes a block of plain bytes.
func Deflate(plain []byte) (*Block, error) {
	var out bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil { // an empty stored block: ends on a byte boundary
		return nil, err
	}
	return &Block{Deflated: bytes.Clone(out.Bytes()), CRC: crc32.ChecksumIEEE(plain), Size: len(plain)}, nil
}
