package resource

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// envelope begins every protobuf value in etcd and on the wire; a runtime.Unknown message follows.
var envelope = []byte("k8s\x00")

// Codec turns a resource's objects into what etcd holds and back: protobuf in the envelope for built-in
// kinds, JSON for custom resources.
type Codec struct {
	stored   *Stored[Object]         // nil: protobuf of the kind itself
	kind     schema.GroupVersionKind // of the objects
	inEtcd   schema.GroupVersionKind // as what is stored names it
	newObj   func() Object
	defaults func(Object)
	proto    *protobuf.Serializer
}

// NewCodec makes the codec of a resource.
func NewCodec(r *Resource) *Codec {
	inEtcd := r.Kind
	if r.StoredVersion != "" {
		inEtcd.Version = r.StoredVersion
	}
	return &Codec{stored: r.Stored, kind: r.Kind, inEtcd: inEtcd, newObj: r.New, defaults: r.Default, proto: protobuf.NewSerializer(kinds.Scheme(), kinds.Scheme())}
}

// Encode gives the bytes to store. resourceVersion is never among them: etcd knows it.
func (c *Codec) Encode(o Object) ([]byte, error) {
	version := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(version)
	if c.stored != nil {
		return c.stored.Encode(o)
	}
	o.GetObjectKind().SetGroupVersionKind(c.inEtcd)
	defer o.GetObjectKind().SetGroupVersionKind(c.kind)
	var b bytes.Buffer
	if err := c.proto.Encode(o, &b); err != nil {
		return nil, fmt.Errorf("encoding a %s for etcd: %w", c.kind.Kind, err)
	}
	return b.Bytes(), nil
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
	o := c.newObj()
	if bytes.HasPrefix(value, envelope) {
		raw, err := rawOf(value)
		if err != nil {
			return nil, err
		}
		message, is := o.(interface{ Unmarshal([]byte) error })
		if !is {
			return nil, fmt.Errorf("%T has no protobuf form", o)
		}
		if err := message.Unmarshal(raw); err != nil { // whatever version it names
			return nil, err
		}
	} else if err := json.Unmarshal(value, o); err != nil {
		return nil, err
	}
	o.SetResourceVersion(strconv.FormatInt(revision, 10))
	o.GetObjectKind().SetGroupVersionKind(c.kind)
	if c.defaults != nil {
		c.defaults(o)
	}
	return o, nil
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
	// A shallow copy, so that apiVersion and kind can be left out though the object is shared.
	c := reflect.New(reflect.TypeOf(o).Elem())
	c.Elem().Set(reflect.ValueOf(o).Elem())
	plain := c.Interface().(runtime.Object)
	plain.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return objectjson.Marshal(plain)
}

// spliceProtobuf takes the message out of a stored envelope and appends its resourceVersion: fields of a
// message that stands twice are merged, so metadata may be continued at the end.
func spliceProtobuf(value []byte, revision int64) ([]byte, bool) {
	raw, err := rawOf(value)
	if err != nil {
		return nil, false
	}
	version := strconv.AppendInt(make([]byte, 0, 20), revision, 10)
	out := make([]byte, 0, len(raw)+len(version)+4)
	out = append(out, raw...)
	out = append(out, 1<<3|2, byte(len(version)+2), 6<<3|2, byte(len(version)))
	return append(out, version...), true
}

var errEnvelope = errors.New("not a protobuf envelope")

// rawOf finds the raw message (field 2) in an envelope.
func rawOf(value []byte) ([]byte, error) {
	b, ok := bytes.CutPrefix(value, envelope)
	if !ok {
		return nil, errEnvelope
	}
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag&7 != 2 {
			return nil, errEnvelope
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || uint64(len(b)-n-m) < size {
			return nil, errEnvelope
		}
		body := b[n+m : n+m+int(size)]
		if tag>>3 == 2 {
			return body, nil
		}
		b = b[n+m+int(size):]
	}
	return nil, errEnvelope
}

// cacheKind says how the watch cache reads a resource.
func cacheKind(r *Resource, c *Codec, prefix string) watchcache.Kind {
	k := watchcache.Kind{
		Prefix: prefix, Decode: c.Decode,
		Encode:  func(o watchcache.Object, enc watchcache.Encoding) ([]byte, error) { return Wire(o, enc) },
		Indexed: r.Indexed,
		Fields:  func(o watchcache.Object) map[string]string { return FieldsOf(r, o) },
	}
	if _, custom := r.New().(*unstructured.Unstructured); !custom {
		k.Splice = spliceProtobuf
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
