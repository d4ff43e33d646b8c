package objectjson

import "unsafe"

// The wire types of protobuf that API objects use, and those of fields that may be passed over.
const (
	varintWire = 0
	eightWire  = 1
	lengthWire = 2
	fourWire   = 5
)

// mostNumber is the highest number that a field can have.
const mostNumber = 1<<29 - 1

// varint reads a number; the position after it is negative where there is none.
func varint(b []byte, at int) (uint64, int) {
	if at < len(b) && b[at] < 0x80 { // nearly all
		return uint64(b[at]), at + 1
	}
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		if at >= len(b) {
			return 0, -1
		}
		c := b[at]
		at++
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x, at
		}
	}
	return 0, -1
}

// field reads what follows a tag; the position after it is negative where that cannot be.
func field(b []byte, at int, wire uint64) (value, int) {
	switch wire {
	case varintWire:
		n, at := varint(b, at)
		return value{number: n}, at
	case lengthWire:
		n, at := varint(b, at)
		if at < 0 || n > uint64(len(b)-at) {
			return value{}, -1
		}
		return value{body: b[at : at+int(n) : at+int(n)]}, at + int(n)
	case eightWire:
		return value{}, passed(b, at+8)
	case fourWire:
		return value{}, passed(b, at+4)
	}
	return value{}, -1
}

func passed(b []byte, at int) int {
	if at > len(b) {
		return -1
	}
	return at
}

// text shows bytes as a string for as long as they do not change.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
