package watchcache

import (
	"encoding/binary"
	"maps"
	"slices"
	"unique"
)

// Pairs are labels or fields, in order and packed into one text. Entries with the same share it: most objects have the
// labels of their siblings. The zero value must not be used.
type Pairs struct{ text unique.Handle[string] }

var noPairs = pairsOf(nil)

// pairsOf packs a map: the length of a key, the key, the length of its value, the value, and so on.
func pairsOf(m map[string]string) Pairs {
	size := 0
	for k, v := range m {
		size += len(k) + len(v) + 4
	}
	b := make([]byte, 0, size)
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	for _, k := range keys {
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		b = append(binary.AppendUvarint(b, uint64(len(m[k]))), m[k]...)
	}
	return Pairs{unique.Make(string(b))}
}

// Lookup gives the value of a key.
func (p Pairs) Lookup(key string) (value string, has bool) {
	for text := p.text.Value(); text != ""; {
		var k string
		k, text = cut(text)
		if value, text = cut(text); k == key {
			return value, true
		}
	}
	return "", false
}

// cut takes a string off a packed text.
func cut(text string) (first, rest string) {
	n, at := uint64(text[0]), 1
	if n >= 0x80 {
		head := [binary.MaxVarintLen64]byte{}
		n, at = binary.Uvarint(head[:copy(head[:], text)])
	}
	return text[at : at+int(n)], text[at+int(n):]
}

// Has says whether there is a key.
func (p Pairs) Has(key string) bool {
	_, has := p.Lookup(key)
	return has
}

// Get gives the value of a key, "" where there is none.
func (p Pairs) Get(key string) string {
	value, _ := p.Lookup(key)
	return value
}
