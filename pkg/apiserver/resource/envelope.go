package resource

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// envelope begins every protobuf value in etcd and on the wire; a runtime.Unknown message follows: in field 1 what
// kind of object it is, in field 2 the object's message, in fields 3 and 4 how that is encoded, which is left empty.
var envelope = []byte("k8s\x00")

// message is an object that is written into a buffer of its size, from the end.
type message interface {
	Size() int
	MarshalToSizedBuffer(b []byte) (int, error)
}

// envelopeHead is everything before the length of the message.
func envelopeHead(kind schema.GroupVersionKind) []byte {
	typeMeta := appendText(appendText(nil, 1, kind.GroupVersion().String()), 2, kind.Kind)
	return append(appendText(bytes.Clone(envelope), 1, string(typeMeta)), 2<<3|2)
}

func appendText(to []byte, field byte, s string) []byte {
	return append(binary.AppendUvarint(append(to, field<<3|2), uint64(len(s))), s...)
}

// seal puts a message into an envelope, without room to spare: what is stored is kept as long as the object.
func seal(head []byte, m message) ([]byte, error) {
	tail := [...]byte{3<<3 | 2, 0, 4<<3 | 2, 0} // written though they are empty, as upstream does
	size := m.Size()
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	out := make([]byte, 0, len(head)+n+size+len(tail))
	out = append(append(out, head...), length[:n]...)
	begin := len(out)
	out = out[:begin+size]
	written, err := m.MarshalToSizedBuffer(out[begin:])
	if err == nil && written != size {
		err = fmt.Errorf("%d bytes were written where %d were announced", written, size)
	}
	return append(out, tail[:]...), err
}

var errEnvelope = errors.New("not a protobuf envelope")

// opened gives what an envelope holds (runtime.Unknown): in field 1 what kind of object it is, in field 2 the
// object's message.
func opened(value []byte) (schema.GroupVersionKind, []byte, error) {
	var kind schema.GroupVersionKind
	b, ok := bytes.CutPrefix(value, envelope)
	if !ok {
		return kind, nil, errEnvelope
	}
	var raw []byte
	err := eachField(b, func(number uint64, body []byte) error {
		switch number {
		case 1:
			var err error
			kind, err = kindIn(body)
			return err
		case 2:
			raw = body
		}
		return nil
	})
	if err == nil && raw == nil {
		err = errEnvelope
	}
	return kind, raw, err
}

func kindIn(typeMeta []byte) (schema.GroupVersionKind, error) {
	var version, kind string
	err := eachField(typeMeta, func(number uint64, body []byte) error {
		switch number {
		case 1:
			version = string(body)
		case 2:
			kind = string(body)
		}
		return nil
	})
	return schema.FromAPIVersionAndKind(version, kind), err
}

// eachField visits the fields of a message that has only ones with a length.
func eachField(b []byte, visit func(number uint64, body []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag&7 != 2 {
			return errEnvelope
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || uint64(len(b)-n-m) < size {
			return errEnvelope
		}
		if err := visit(tag>>3, b[n+m:n+m+int(size)]); err != nil {
			return err
		}
		b = b[n+m+int(size):]
	}
	return nil
}
