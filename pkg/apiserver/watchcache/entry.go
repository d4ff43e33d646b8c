package watchcache

import (
	"bytes"
	"fmt"
	"strings"

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
)

// Entry is one object at one revision. It never changes. Its forms are made when first asked for, once, and
// shared by all who ask; the cache keeps them for a while (see made).
type Entry struct {
	kind     *Kind
	id       uint64 // which no other entry has
	key      string
	revision int64
	value    []byte // as stored
	broken   bool   // the value cannot be decoded
	judged   bool   // see Judged
	whole    bool   // the value lacks nothing that Decode fills in
	version  string // of the object, where those of the kind have several
	labels   Pairs
	fields   Pairs // beside those that the key tells
}

// form names what the cache keeps of an entry beside its encodings.
type ownForm int

const decoded ownForm = iota

// derivedForm is one that others make.
type derivedForm struct{ key any }

// Key is the key in etcd.
func (e *Entry) Key() string { return e.key }

// Revision is the object's resourceVersion.
func (e *Entry) Revision() int64 { return e.revision }

// Version is the one in which the object stands here, where its kind is Versioned.
func (e *Entry) Version() string { return e.version }

// Judged says that the object was written here, and what is in its spec was found without fault.
func (e *Entry) Judged() bool { return e.judged }

// Labels are the object's.
func (e *Entry) Labels() Pairs { return e.labels }

// The fields of every object. Its key tells them.
const (
	nameField      = "metadata.name"
	namespaceField = "metadata.namespace"
)

// Get gives the value of a field that field selectors see, "" where there is none.
func (e *Entry) Get(field string) string {
	if field != nameField && field != namespaceField {
		return e.fields.Get(field)
	}
	namespace, name, namespaced := strings.Cut(e.key[len(e.kind.Prefix):], "/")
	if !namespaced {
		namespace, name = "", namespace
	}
	if field == nameField {
		return name
	}
	return namespace
}

// Has says whether there is such a field.
func (e *Entry) Has(field string) bool {
	return field == nameField || field == namespaceField || e.fields.Has(field)
}

// Value is the object as stored.
func (e *Entry) Value() []byte { return e.value }

// Object is the decoded object. It is shared: copy before changing it.
func (e *Entry) Object() (Object, error) {
	if e.kind.Large {
		return e.decode()
	}
	o, err := e.kind.made.get(decoded, []*Entry{e}, func() (any, int, error) {
		o, err := e.decode()
		return o, decodedSize(e.value), err
	})
	if err != nil {
		return nil, err
	}
	return o.(Object), nil
}

func (e *Entry) decode() (Object, error) {
	return e.kind.Decode(e.value, e.revision)
}

// decodedSize estimates what an object takes that was decoded from a value: measured of pods and config maps,
// three to five times as much.
func decodedSize(value []byte) int { return 4 * len(value) }

// Append appends the object in an encoding.
func (e *Entry) Append(to []byte, enc Encoding) ([]byte, error) {
	if b, ok := e.spliced(to, enc); ok {
		return b, nil
	}
	return e.AppendKept(to, enc)
}

// AppendKept is Append for who asks for many objects, and often for the same ones: their bytes are kept.
func (e *Entry) AppendKept(to []byte, enc Encoding) ([]byte, error) {
	if enc == Protobuf { // is there nearly as it is stored
		if b, ok := e.spliced(to, enc); ok {
			return b, nil
		}
	}
	b, err := e.kind.made.get(enc, []*Entry{e}, func() (any, int, error) {
		if b, ok := e.splicedApart(enc); ok {
			return b, len(b), nil
		}
		// Who asks for bytes has no use for the object, which takes four times as much of what may be kept.
		o, err := e.PassingObject()
		if err != nil {
			return nil, 0, err
		}
		b, err := e.encode(o, enc)
		return b, len(b), err
	})
	if err != nil {
		return nil, err
	}
	return append(to, b.([]byte)...), nil
}

// AppendPassing is Append for who needs the bytes but once: nothing that is made on the way is kept.
func (e *Entry) AppendPassing(to []byte, enc Encoding) ([]byte, error) {
	if b, ok := e.spliced(to, enc); ok {
		return b, nil
	}
	run := []*Entry{e}
	if b, ok := e.kind.made.peek(enc, run).([]byte); ok {
		return append(to, b...), nil
	}
	o, err := e.PassingObject()
	if err != nil {
		return nil, err
	}
	b, err := e.encode(o, enc)
	return append(to, b...), err
}

// PassingObject is Object for who needs it but once.
func (e *Entry) PassingObject() (Object, error) {
	if o, ok := e.kind.made.peek(decoded, []*Entry{e}).(Object); ok {
		return o, nil
	}
	return e.decode()
}

// splicedApart is spliced in as many bytes as it has.
func (e *Entry) splicedApart(enc Encoding) ([]byte, bool) {
	buffer := plainBuffers.Get().(*[]byte)
	defer plainBuffers.Put(buffer)
	b, ok := e.spliced((*buffer)[:0], enc)
	if cap(b) > cap(*buffer) && cap(b) <= keptBuffer {
		*buffer = b
	}
	return bytes.Clone(b), ok
}

// spliced appends the encoding without decoding anything, where the kind and the stored value allow that.
func (e *Entry) spliced(to []byte, enc Encoding) ([]byte, bool) {
	if !e.whole || e.kind.Splice == nil {
		return nil, false
	}
	return e.kind.Splice(to, e.value, e.revision, enc)
}

func (e *Entry) encode(o Object, enc Encoding) ([]byte, error) {
	b, err := e.kind.Encode(o, enc)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.key, err)
	}
	return b, nil
}

// Derived is a further form of the object, made once for each key. It counts as large as a decoded object.
func (e *Entry) Derived(key any, make func() (any, error)) (any, error) {
	return e.kind.made.get(derivedForm{key}, []*Entry{e}, func() (any, int, error) {
		v, err := make()
		return v, decodedSize(e.value), err
	})
}

// slim lets go of the forms of a state that was superseded.
func (e *Entry) slim() { e.kind.made.forget(e, decoded, JSON, Protobuf) }

// Decodable says whether the stored value could be read when the entry was made.
func (e *Entry) Decodable() bool { return !e.broken }
