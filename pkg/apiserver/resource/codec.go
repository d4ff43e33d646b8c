package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Codec turns a resource's objects into what etcd holds and back: protobuf in the envelope for built-in
// kinds, JSON for custom resources.
type Codec struct {
	stored   *Stored[Object]         // nil: protobuf of the kind itself
	kind     schema.GroupVersionKind // of the objects
	inEtcd   schema.GroupVersionKind // as what is stored names it
	views    []View[Object]
	newObj   func() Object
	defaults func(Object)
	head     []byte // of every envelope

	transcoder func() *objectjson.Transcoder // compiled at its first use; nil for a type that it does not know
}

// NewCodec makes the codec of a resource.
func NewCodec(r *Resource) *Codec {
	inEtcd := r.Kind
	if r.StoredVersion != "" {
		inEtcd.Version = r.StoredVersion
	}
	c := &Codec{
		stored: r.Stored, kind: r.Kind, inEtcd: inEtcd, views: r.Views, newObj: r.New, defaults: r.Default,
		head: envelopeHead(inEtcd),
	}
	c.transcoder = sync.OnceValue(func() *objectjson.Transcoder {
		t, _ := objectjson.NewTranscoder(reflect.TypeOf(c.newObj()).Elem())
		return t
	})
	return c
}

// Encode gives the bytes to store. resourceVersion is never among them: etcd knows it.
func (c *Codec) Encode(o Object) ([]byte, error) {
	version := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(version)
	if c.stored != nil {
		return c.stored.Encode(o)
	}
	m, ok := o.(message)
	if !ok {
		return nil, fmt.Errorf("%T has no protobuf form", o)
	}
	o.GetObjectKind().SetGroupVersionKind(c.kind)
	value, err := seal(c.head, m)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s for etcd: %w", c.kind.Kind, err)
	}
	return value, nil
}

// Decode reads what etcd holds, sets resourceVersion and fills in defaults.
func (c *Codec) Decode(value []byte, revision int64) (watchcache.Object, error) {
	if c.stored != nil {
		o, err := c.stored.Decode(value)
		if err != nil {
			return nil, err
		}
		o.SetResourceVersion(strconv.FormatInt(revision, 10))
		return o, nil
	}
	o, err := c.read(value)
	if err != nil {
		return nil, err
	}
	o.SetResourceVersion(strconv.FormatInt(revision, 10))
	o.GetObjectKind().SetGroupVersionKind(c.kind)
	if c.defaults != nil {
		c.defaults(o)
	}
	return o, nil
}

// read takes protobuf in every version of the kind, and JSON in the kind's own. Versions that are not served have
// the form of the kind's.
func (c *Codec) read(value []byte) (Object, error) {
	o := c.newObj()
	if !bytes.HasPrefix(value, envelope) {
		return o, json.Unmarshal(value, o)
	}
	kind, raw, err := opened(value)
	if err != nil {
		return nil, err
	}
	for i := range c.views {
		if v := &c.views[i]; v.Kind == kind && kind != c.kind {
			served := v.New()
			if err := unmarshal(raw, served); err != nil {
				return nil, err
			}
			return v.To(served)
		}
	}
	if kind.GroupKind() != c.kind.GroupKind() {
		return nil, fmt.Errorf("a %s stands where a %s should be", kind, c.kind.Kind)
	}
	return o, unmarshal(raw, o)
}

func unmarshal(raw []byte, o runtime.Object) error {
	m, ok := o.(interface{ Unmarshal([]byte) error })
	if !ok {
		return fmt.Errorf("%T has no protobuf form", o)
	}
	return m.Unmarshal(raw)
}

// Wire gives an object in an encoding as the watch cache keeps it: see watchcache.Encoding.
func Wire(o runtime.Object, enc watchcache.Encoding) ([]byte, error) {
	if enc == watchcache.Protobuf {
		m, ok := o.(interface{ Marshal() ([]byte, error) })
		if !ok {
			return nil, fmt.Errorf("%T has no protobuf form", o)
		}
		return m.Marshal()
	}
	if _, custom := o.(*unstructured.Unstructured); custom {
		return json.Marshal(o)
	}
	plain := shallow(o) // so that apiVersion and kind can be left out though the object is shared
	plain.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return objectjson.Marshal(plain)
}

// shallow copies an object so far that what stands directly in it and in its metadata can be changed.
func shallow[T runtime.Object](o T) T {
	if _, custom := any(o).(*unstructured.Unstructured); custom {
		return o.DeepCopyObject().(T)
	}
	c := reflect.New(reflect.TypeOf(o).Elem())
	c.Elem().Set(reflect.ValueOf(o).Elem())
	return c.Interface().(T)
}

// splice takes the message out of a stored envelope. For protobuf its resourceVersion is appended: fields of a
// message that stands twice are merged, so metadata may be continued at the end. What is stored in another version
// cannot be answered as it is.
func (c *Codec) splice(to, value []byte, revision int64, enc watchcache.Encoding) ([]byte, bool) {
	kind, raw, err := opened(value)
	if err != nil || kind != c.inEtcd {
		return nil, false
	}
	version := strconv.AppendInt(make([]byte, 0, 20), revision, 10)
	if enc == watchcache.JSON {
		t := c.transcoder()
		if t == nil {
			return nil, false
		}
		return t.Append(to, raw, version)
	}
	to = slices.Grow(to, len(raw)+len(version)+4)
	to = append(to, raw...)
	to = append(to, 1<<3|2, byte(len(version)+2), 6<<3|2, byte(len(version)))
	return append(to, version...), true
}

// whole says whether a stored value is what o, which was decoded from it, is stored as: then nothing was filled in or set
// right when it was read. Sizes alone do not tell: what is not known here may be as large as what was filled in.
func (c *Codec) whole(value []byte, o watchcache.Object) bool {
	m, ok := o.(message)
	kind, raw, err := opened(value)
	if !ok || err != nil || kind != c.inEtcd {
		return false
	}
	version := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(version)
	size := m.Size()
	if size != len(raw) {
		return false
	}
	buffer := comparisons.Get().(*[]byte)
	defer comparisons.Put(buffer)
	*buffer = slices.Grow((*buffer)[:0], size)[:size]
	_, err = m.MarshalToSizedBuffer(*buffer)
	same := err == nil && bytes.Equal(*buffer, raw)
	if size > mostCompared {
		*buffer = nil
	}
	return same
}

// comparisons are buffers in which messages are written that are compared with what is stored, and mostCompared is the
// size up to which they are kept.
var comparisons = sync.Pool{New: func() any { return new([]byte) }}

const mostCompared = 64 << 10

// cacheKind says how the watch cache reads a resource.
func cacheKind(r *Resource, c *Codec, prefix string) watchcache.Kind {
	k := watchcache.Kind{
		Prefix: prefix, Decode: c.Decode,
		Encode:  func(o watchcache.Object, enc watchcache.Encoding) ([]byte, error) { return Wire(o, enc) },
		Indexed: r.Indexed, Large: r.Large, Versioned: r.Stored != nil && r.Stored.Convert != nil,
		Fields: func(o watchcache.Object) map[string]string { return FieldsOf(r, o) },
	}
	if r.Stored == nil && !r.DefaultedLate {
		k.Splice, k.Whole = c.splice, c.whole
	}
	return k
}

// FieldsOf gives the values that field selectors see.
func FieldsOf(r *Resource, o Object) map[string]string {
	var f map[string]string
	if r.Fields != nil {
		f = r.Fields(o)
	}
	if f == nil {
		f = map[string]string{}
	}
	f["metadata.name"] = o.GetName()
	if !r.ClusterScoped {
		f["metadata.namespace"] = o.GetNamespace()
	}
	return f
}
