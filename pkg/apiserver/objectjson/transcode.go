package objectjson

import (
	"math/bits"
	"slices"
	"sync"
)

// Transcoder writes the JSON of stored messages of one Go type without making an object of them: what stands in
// protobuf is brought into the order and the words of the type's JSON. It answers for what the type's own code writes;
// anything else it leaves to those who decode.
type Transcoder struct{ root *layout }

// layout is how the fields of a message stand in JSON.
type layout struct {
	members []wireMember // in JSON's order, at most as many as a set has
	numbers []uint8      // by field number: the member's index plus one
	always  set          // those that may be written though they are not stored
}

// set is a set of members.
type set uint64

const mostMembers = 64

// wireMember is a field of a message, ready to be written.
type wireMember struct {
	text      string // "name":
	wire      uint64 // the wire type
	form      wireForm
	omitEmpty bool
	omitNull  bool      // omitzero of a time, whose zero value is null
	nilIs     string    // what stands where there is nothing
	emptyIs   emptiness // what omitEmpty leaves out of what is there
	write     wireStep
	inline    *layout   // its members stand among this message's
	key       keyedStep // of a table
}

// wireForm says how often a field stands in a message.
type wireForm uint8

const (
	once wireForm = iota
	often
	mapped
	revision // the resourceVersion, which is not stored
	inlined
)

// emptiness says which value is empty.
type emptiness uint8

const (
	neverEmpty  emptiness = iota
	emptyText             // without a byte
	emptyNumber           // zero
	emptyInt32            // zero in its last 32 bits
)

func (e emptiness) of(v value) bool {
	switch e {
	case emptyText:
		return len(v.body) == 0
	case emptyNumber:
		return v.number == 0
	case emptyInt32:
		return int32(v.number) == 0
	}
	return false
}

// value is what stands in a field: a number, or bytes.
type value struct {
	number uint64
	body   []byte
}

// wireStep appends a value.
type wireStep func(t *transcoding, to []byte, v value) ([]byte, bool)

// keyedStep appends what an entry of a table holds.
type keyedStep struct {
	wire  uint64 // of the values
	write wireStep
}

// transcoding is one message under way.
type transcoding struct {
	revision []byte // in digits
	values   []value
}

var transcodings = sync.Pool{New: func() any { return &transcoding{} }}

// Append appends the JSON of a message, with a resourceVersion: what Marshal gives for the object that the message
// decodes to, without apiVersion and kind. It answers false where only decoding tells.
func (t *Transcoder) Append(to, message []byte, resourceVersion []byte) ([]byte, bool) {
	c := transcodings.Get().(*transcoding)
	c.revision = resourceVersion
	to, ok := t.root.object(c, to, value{body: message})
	c.values, c.revision = c.values[:0], nil
	transcodings.Put(c)
	return to, ok
}

func (l *layout) object(c *transcoding, to []byte, v value) ([]byte, bool) {
	to = append(to, '{')
	to, ok := l.among(c, to, v.body, len(to))
	return append(to, '}'), ok
}

// among appends the members of a message to those of an object that began at begin.
func (l *layout) among(c *transcoding, to, body []byte, begin int) ([]byte, bool) {
	base := len(c.values)
	c.values = slices.Grow(c.values, len(l.members))[:base+len(l.members)]
	there, ok := l.scan(c.values[base:], body)
	for left := there | l.always; ok && left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(uint64(left))
		if v := (value{}); there&(1<<i) == 0 {
			to, ok = l.members[i].append(c, to, v, false, begin)
		} else {
			to, ok = l.members[i].append(c, to, c.values[base+i], true, begin)
		}
	}
	c.values = c.values[:base]
	return to, ok
}

// scan finds the values of a message's fields. One that stands twice, or in another form than its type's, is not for
// this package. The value of a field that may be repeated is all of its run, with the tags.
func (l *layout) scan(values []value, body []byte) (there set, ok bool) {
	for at := 0; at < len(body); {
		begin := at
		tag, at2 := varint(body, at)
		if at2 < 0 {
			return there, false
		}
		var v value
		if v, at = field(body, at2, tag&7); at < 0 {
			return there, false
		}
		number := tag >> 3
		if number == 0 || number > mostNumber {
			return there, false
		}
		if number >= uint64(len(l.numbers)) || l.numbers[number] == 0 {
			continue // from a later version
		}
		i := l.numbers[number] - 1
		m := &l.members[i]
		if tag&7 != m.wire || there&(1<<i) != 0 {
			return there, false
		}
		if m.form == often || m.form == mapped {
			if at = run(body, at, tag); at < 0 {
				return there, false
			}
			v = value{body: body[begin:at]}
		}
		values[i] = v
		there |= 1 << i
	}
	return there, true
}

// run finds the end of a run of fields with one tag.
func run(body []byte, at int, tag uint64) int {
	for at < len(body) {
		next, after := varint(body, at)
		if after < 0 {
			return -1
		}
		if next != tag {
			return at
		}
		if _, at = field(body, after, tag&7); at < 0 {
			return -1
		}
	}
	return at
}

func (m *wireMember) append(c *transcoding, to []byte, v value, there bool, begin int) ([]byte, bool) {
	if m.form == inlined {
		return m.inline.among(c, to, v.body, begin)
	}
	if m.omitEmpty && (!there && m.nilIs != "" || m.emptyIs.of(v)) {
		return to, true
	}
	before := len(to)
	if len(to) > begin {
		to = append(to, ',')
	}
	to = append(to, m.text...)
	switch {
	case m.form == revision:
		to = append(to, '"')
		to = append(to, c.revision...)
		return append(to, '"'), true
	case !there && m.nilIs != "":
		return append(to, m.nilIs...), true
	case m.form == often:
		return m.list(c, to, v.body)
	case m.form == mapped:
		return m.entries(c, to, v.body)
	}
	at := len(to)
	to, ok := m.write(c, to, v)
	if m.omitNull && string(to[at:]) == null {
		to = to[:before]
	}
	return to, ok
}

const null = "null"

func (m *wireMember) list(c *transcoding, to, run []byte) ([]byte, bool) {
	to = append(to, '[')
	for at := 0; at < len(run); {
		if at > 0 {
			to = append(to, ',')
		}
		_, at = varint(run, at)
		var v value
		v, at = field(run, at, m.wire)
		var ok bool
		if to, ok = m.write(c, to, v); !ok {
			return to, false
		}
	}
	return append(to, ']'), true
}

// entries writes a map, whose entries are stored in the order of their keys, as JSON has them.
func (m *wireMember) entries(c *transcoding, to, run []byte) ([]byte, bool) {
	var last string
	to = append(to, '{')
	for at := 0; at < len(run); {
		first := at == 0
		_, at = varint(run, at)
		var entry value
		entry, at = field(run, at, m.wire)
		key, v, ok := m.entry(entry.body)
		if !ok || !first && key <= last {
			return to, false
		}
		if !first {
			to = append(to, ',')
		}
		last = key
		to = append(appendString(to, key), ':')
		if to, ok = m.key.write(c, to, v); !ok {
			return to, false
		}
	}
	return append(to, '}'), true
}

// entry reads an entry of a map: a message of a key and a value, each of which may be missing.
func (m *wireMember) entry(body []byte) (key string, v value, ok bool) {
	var k value
	var hasKey, hasValue bool
	for at := 0; at < len(body); {
		tag, after := varint(body, at)
		if after < 0 {
			return "", v, false
		}
		var f value
		if f, at = field(body, after, tag&7); at < 0 {
			return "", v, false
		}
		switch {
		case tag == 1<<3|lengthWire && !hasKey:
			k, hasKey = f, true
		case tag == 2<<3|m.key.wire && !hasValue:
			v, hasValue = f, true
		default:
			return "", v, false
		}
	}
	return text(k.body), v, true
}
