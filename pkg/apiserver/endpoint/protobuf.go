package endpoint

import (
	"encoding/binary"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Protobuf answers are put together from encoded parts: a runtime.Unknown (1: apiVersion and kind, 2: the
// message) behind four magic bytes. A list's message is 1: its metadata, 2: each item.
var magic = []byte("k8s\x00")

// pbField appends a length-delimited field.
func pbField(to []byte, number int, body []byte) []byte {
	to = binary.AppendUvarint(to, uint64(number)<<3|2)
	to = binary.AppendUvarint(to, uint64(len(body)))
	return append(to, body...)
}

func text(to []byte, number int, s string) []byte { return pbField(to, number, []byte(s)) }

// envelopeHead is everything before the message, and tail what follows it.
func envelopeHead(kind schema.GroupVersionKind, size int) []byte {
	typeMeta := text(text(nil, 1, kind.GroupVersion().String()), 2, kind.Kind)
	head := pbField(append([]byte(nil), magic...), 1, typeMeta)
	head = binary.AppendUvarint(head, 2<<3|2)
	return binary.AppendUvarint(head, uint64(size))
}

// envelopeTail are the empty contentEncoding and contentType, which the serializers always write.
var envelopeTail = []byte{3<<3 | 2, 0, 4<<3 | 2, 0}

// inEnvelope wraps one message.
func inEnvelope(kind schema.GroupVersionKind, message []byte) []byte {
	out := append(envelopeHead(kind, len(message)), message...)
	return append(out, envelopeTail...)
}
