package objectjson

import (
	"encoding/json"
	"unicode/utf8"
)

// deepest is how far values may stand in one another; what is deeper is left to the library, which bears more.
const deepest = 500

// decoder reads a text from its beginning on. Its functions answer false where the text is not what they read;
// they take no notice of what could still be said of it.
type decoder struct {
	data  []byte
	at    int
	depth int
}

// space steps over what may stand between any two things.
func (d *decoder) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// peek is the byte at the decoder's place, 0 at the end.
func (d *decoder) peek() byte {
	if d.at < len(d.data) {
		return d.data[d.at]
	}
	return 0
}

// next steps over space and then over c.
func (d *decoder) next(c byte) bool {
	d.space()
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

// word steps over w.
func (d *decoder) word(w string) bool {
	if len(d.data)-d.at < len(w) || string(d.data[d.at:d.at+len(w)]) != w {
		return false
	}
	d.at += len(w)
	return true
}

func (d *decoder) null() bool { return d.peek() == 'n' && d.word("null") }

// enter steps into an object or array.
func (d *decoder) enter(c byte) bool {
	if d.peek() != c || d.depth == deepest {
		return false
	}
	d.at++
	d.depth++
	return true
}

// leave steps out of it.
func (d *decoder) leave(c byte) bool {
	d.depth--
	return d.next(c)
}

// object reads an object; member reads one of its names and what belongs to that.
func (d *decoder) object(member func() bool) bool {
	if !d.enter('{') {
		return false
	}
	if d.space(); d.peek() == '}' {
		return d.leave('}')
	}
	for {
		if d.space(); !member() {
			return false
		}
		if !d.next(',') {
			return d.leave('}')
		}
	}
}

// fields reads an object; value reads what belongs to a name, which stands in it as it is.
func (d *decoder) fields(value func(name []byte) bool) bool {
	return d.object(func() bool {
		literal, plain, ok := d.literal()
		if !ok || !plain || !d.next(':') {
			return false
		}
		d.space()
		return value(literal[1 : len(literal)-1])
	})
}

// members reads an object of any names.
func (d *decoder) members(value func(name string) bool) bool {
	return d.object(func() bool {
		name, ok := d.text()
		if !ok || !d.next(':') {
			return false
		}
		d.space()
		return value(name)
	})
}

// lastASCII is a control character, which not everything takes for text.
const lastASCII = utf8.RuneSelf - 1

// literal is a string with its quotes. It is plain where nothing in it stands for something else.
func (d *decoder) literal() (_ []byte, plain, ok bool) {
	if d.peek() != '"' {
		return nil, false, false
	}
	begin := d.at
	plain = true
	for i := begin + 1; i < len(d.data); i++ {
		switch c := d.data[i]; {
		case c == '"':
			d.at = i + 1
			return d.data[begin:d.at], plain, true
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return nil, false, false
		case c >= lastASCII:
			plain = false
		}
	}
	return nil, false, false
}

// text is what a string says. Escapes, and what is not ASCII, are left to encoding/json.
func (d *decoder) text() (string, bool) {
	literal, plain, ok := d.literal()
	if ok && !plain {
		return unquoted(literal)
	}
	if !ok {
		return "", false
	}
	return string(literal[1 : len(literal)-1]), true
}

func unquoted(literal []byte) (s string, ok bool) {
	err := json.Unmarshal(literal, &s)
	return s, err == nil
}

// number is a number as it stands.
func (d *decoder) number() ([]byte, bool) {
	begin := d.at
	if d.peek() == '-' {
		d.at++
	}
	switch {
	case d.peek() == '0':
		d.at++
	case !d.digits():
		return nil, false
	}
	if d.peek() == '.' {
		if d.at++; !d.digits() {
			return nil, false
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.at++
		if c := d.peek(); c == '+' || c == '-' {
			d.at++
		}
		if !d.digits() {
			return nil, false
		}
	}
	return d.data[begin:d.at], true
}

// digits steps over one or more.
func (d *decoder) digits() bool {
	begin := d.at
	for c := d.peek(); '0' <= c && c <= '9'; c = d.peek() {
		d.at++
	}
	return d.at > begin
}

// raw is a value as it stands.
func (d *decoder) raw() ([]byte, bool) {
	begin := d.at
	ok := d.skip()
	return d.data[begin:d.at], ok
}

// skip steps over a value of any kind.
func (d *decoder) skip() bool {
	switch d.peek() {
	case '{':
		return d.skipObject()
	case '[':
		return d.skipArray()
	case '"':
		return d.skipString()
	case 't':
		return d.word("true")
	case 'f':
		return d.word("false")
	case 'n':
		return d.word("null")
	}
	_, ok := d.number()
	return ok
}

func (d *decoder) skipString() bool {
	literal, plain, ok := d.literal()
	return ok && (plain || json.Valid(literal))
}

func (d *decoder) skipObject() bool {
	if !d.enter('{') {
		return false
	}
	if d.space(); d.peek() == '}' {
		return d.leave('}')
	}
	for {
		if d.space(); !d.skipString() || !d.next(':') {
			return false
		}
		if d.space(); !d.skip() {
			return false
		}
		if !d.next(',') {
			return d.leave('}')
		}
	}
}

func (d *decoder) skipArray() bool {
	if !d.enter('[') {
		return false
	}
	if d.space(); d.peek() == ']' {
		return d.leave(']')
	}
	for {
		if d.space(); !d.skip() {
			return false
		}
		if !d.next(',') {
			return d.leave(']')
		}
	}
}

// elements counts those of the array that the decoder has stepped into, as far as its text is sound. Nothing
// between two commas is no element: room is made for as many as are counted.
func (d *decoder) elements() (count int, ok bool) {
	if d.space(); d.peek() == ']' {
		return 0, true
	}
	depth, quoted, empty := 0, false, true
	for i := d.at; i < len(d.data); i++ {
		c := d.data[i]
		switch {
		case quoted:
			if c == '\\' {
				i++
			}
			quoted = c != '"'
			continue
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth < 0 {
				return count + 1, !empty
			}
		case c == ',' && depth == 0:
			if empty {
				return 0, false
			}
			count, empty = count+1, true
			continue
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		}
		empty = false
	}
	return 0, false
}
