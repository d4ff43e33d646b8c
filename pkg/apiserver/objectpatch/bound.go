package objectpatch

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// ErrTooMuch says that a patch was not applied because that would take seconds: the libraries move or compare all items
// of a list for each one that a patch names.
var ErrTooMuch = errors.New("the patch changes too many items of lists that are too long")

const (
	// mostMoved is how many items of lists the operations of a JSON patch may move: half a second's, and what as many
	// operations as a patch may hold need to fill a list from its front.
	mostMoved = 60_000_000
	// mostCompared is how many pairs of items the lists of a strategic merge patch may make: half a second's.
	mostCompared = 40_000_000
)

// moves says whether the operations of a JSON patch move too many items. Whichever list they change is taken to be the
// longest.
func moves(before []byte, patch jsonpatch.Patch) bool {
	text := len(before)
	for _, op := range patch {
		if value := op["value"]; value != nil {
			text += len(*value)
		}
	}
	if 2*len(patch)*text <= mostMoved { // no list has more items than its text has bytes
		return false
	}
	longest, moving, places := longestList(before), 0, placesIn(before, patch)
	for _, op := range patch {
		if value := op["value"]; value != nil {
			longest = max(longest, longestList(*value))
		}
		switch op.Kind() {
		case "add", "copy", "remove":
			path, _ := op.Path() // the library refuses one without
			moving += places.place(path)
		case "move":
			path, _ := op.Path()
			from, _ := op.From()
			moving += places.place(path) + places.place(from)
		}
	}
	return moving*(longest+moving/2) > mostMoved
}

// longestList is the number of items of the longest list in a JSON text, about: a member of an object counts as an item.
func longestList(text []byte) (longest int) {
	var counts []int // of what is open
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			counts = append(counts, 1)
		case ',':
			if n := len(counts); n > 0 {
				counts[n-1]++
			}
		case ']', '}':
			if n := len(counts); n > 0 {
				longest, counts = max(longest, counts[n-1]), counts[:n-1]
			}
		}
	}
	return longest
}

// The prefixes of members that say something about a list beside it.
const (
	orderPrefix  = "$setElementOrder/"
	deletePrefix = "$deleteFromPrimitiveList/"
)

// Bounded answers ErrTooMuch for a strategic merge patch that the library would take too long to apply to an object.
func Bounded(object, patch map[string]any, schema strategicpatch.LookupPatchMeta) error {
	b := bound{added: map[listOf]int{}}
	b.record(object, patch, schema)
	if b.compared > mostCompared {
		return ErrTooMuch
	}
	return nil
}

// bound counts what the library compares: within a list that is merged all items, the object's and the patch's, with all.
type bound struct {
	compared int
	added    map[listOf]int // what a patch that names an item several times has added to its lists
}

// listOf is a list by the object in which it stands.
type listOf struct {
	object uintptr
	name   string
}

func (b *bound) record(object, patch map[string]any, schema strategicpatch.LookupPatchMeta) {
	for name, value := range patch {
		switch v := value.(type) {
		case map[string]any:
			sub, _, err := schema.LookupPatchMetadataForStruct(name)
			if o, _ := object[name].(map[string]any); err == nil && o != nil {
				b.record(o, v, sub)
			}
		case []any:
			b.list(object, patch, name, v, schema)
		}
	}
}

func (b *bound) list(object, patch map[string]any, name string, items []any, schema strategicpatch.LookupPatchMeta) {
	plain := strings.TrimPrefix(strings.TrimPrefix(name, orderPrefix), deletePrefix)
	sub, meta, err := schema.LookupPatchMetadataForSlice(plain)
	if err != nil {
		return // the library refuses it
	}
	old, _ := object[plain].([]any)
	_, ordered := patch[orderPrefix+plain]
	if merged := slices.Contains(meta.GetPatchStrategies(), "merge") && old != nil; !merged && !ordered {
		return // it replaces the list
	}
	of := listOf{reflect.ValueOf(object).Pointer(), plain}
	b.added[of] += len(items)
	all := len(old) + b.added[of]
	if b.compared += all * all; b.compared > mostCompared {
		return
	}
	b.items(old, items, meta.GetPatchMergeKey(), sub)
}

// items looks into the items of a list that are merged by a key.
func (b *bound) items(old, items []any, key string, schema strategicpatch.LookupPatchMeta) {
	known := map[any]map[string]any{}
	find := func(item any) (map[string]any, any) {
		m, _ := item.(map[string]any)
		switch k := m[key].(type) {
		case string, int64, float64, bool:
			return m, k
		}
		return nil, nil // none that the library could merge
	}
	for _, item := range old {
		if m, k := find(item); m != nil && known[k] == nil {
			known[k] = m
		}
	}
	for _, item := range items {
		m, k := find(item)
		switch {
		case m == nil:
		case known[k] == nil:
			known[k] = m
		default:
			b.record(known[k], m, schema)
		}
	}
}
