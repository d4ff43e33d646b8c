package objectjson

import (
	"bytes"
	"strconv"
)

// longestName is what YAML bears of a name before its colon, with room to spare.
const longestName = 512

// PlainObject reads a JSON object that is the same in YAML: in one line, of ASCII without escapes, of whole numbers that a float
// holds exactly, and without a member that stands twice. Numbers become int64. It answers false for any other text,
// which may be sound nevertheless.
func PlainObject(data []byte) (map[string]any, bool) {
	data = bytes.TrimSuffix(data, []byte("\n"))
	if bytes.ContainsAny(data, "\n\r\t") {
		return nil, false
	}
	d := decoder{data: data}
	d.space()
	o, ok := d.plainObject()
	d.space()
	return o, ok && d.at == len(data)
}

func (d *decoder) plainObject() (map[string]any, bool) {
	out := map[string]any{}
	ok := d.fields(func(name []byte) bool {
		if _, twice := out[string(name)]; twice || len(name) == 0 || len(name) > longestName || name[0] == '<' {
			return false // YAML merges what stands under "<<"
		}
		v, ok := d.plainValue()
		out[string(name)] = v
		return ok
	})
	return out, ok
}

func (d *decoder) plainValue() (any, bool) {
	switch d.peek() {
	case '{':
		return d.plainObject()
	case '[':
		return d.plainArray()
	case '"':
		literal, plain, ok := d.literal()
		if !ok || !plain {
			return nil, false
		}
		return string(literal[1 : len(literal)-1]), true
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	}
	return d.plainNumber()
}

func (d *decoder) plainArray() (any, bool) {
	out := []any{}
	if !d.enter('[') {
		return nil, false
	}
	if d.space(); d.peek() == ']' {
		return out, d.leave(']')
	}
	for {
		d.space()
		v, ok := d.plainValue()
		if !ok {
			return nil, false
		}
		out = append(out, v)
		if !d.next(',') {
			return out, d.leave(']')
		}
	}
}

func (d *decoder) plainNumber() (any, bool) {
	const exact = 1 << 53
	digits, ok := d.number()
	if !ok || string(digits) == "-0" {
		return nil, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil && -exact < n && n < exact
}
