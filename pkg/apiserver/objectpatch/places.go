package objectpatch

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// deepest is how many names a path may have whose end is looked at: no kind's objects have a map that lies deeper.
const deepest = 32

// places tells which paths of a JSON patch may end with a place in a list. In doubt one does.
type places struct {
	before any
	// put are the paths at which operations put or take something: true says that it is always an object.
	put map[string]bool
	// shifted are those below which they do, where before has no object: items of lists may have moved there.
	shifted map[string]bool
}

func placesIn(before []byte, patch jsonpatch.Patch) *places {
	p := &places{put: map[string]bool{}, shifted: map[string]bool{}}
	if json.Unmarshal(before, &p.before) != nil {
		p.before = nil // then all may be places
	}
	for _, op := range patch {
		path, _ := op.Path() // the library refuses one without
		switch op.Kind() {
		case "add", "replace":
			value := op["value"]
			p.changes(path, value != nil && bytes.HasPrefix(bytes.TrimSpace(*value), []byte("{")))
		case "copy", "remove":
			p.changes(path, false)
		case "move":
			from, _ := op.From()
			p.changes(path, false)
			p.changes(from, false)
		}
	}
	return p
}

func (p *places) changes(path string, object bool) {
	names := namesIn(path)
	if len(names) > deepest { // neither leads to a path that is looked at
		return
	}
	always, seen := p.put[key(names)]
	p.put[key(names)] = object && (always || !seen)
	if len(names) == 0 {
		return
	}
	above := names[:len(names)-1]
	if found, _ := lookup(p.before, above); !isObject(found) {
		p.shifted[key(above)] = true
	}
}

// place is 1 where a path may end with a place in a list.
func (p *places) place(path string) int {
	names := namesIn(path)
	last := len(names) - 1
	if last < 0 {
		return 0
	}
	if _, err := strconv.Atoi(names[last]); err != nil || last < deepest && p.isMap(names[:last]) {
		return 0
	}
	return 1
}

// isMap says that whatever stands at a path while the patch is applied is an object.
func (p *places) isMap(names []string) bool {
	for i := range names {
		above := key(names[:i])
		if _, changed := p.put[above]; changed || p.shifted[above] {
			return false
		}
	}
	always, changed := p.put[key(names)]
	found, parent := lookup(p.before, names)
	if found == nil && isObject(parent) {
		return always
	}
	return isObject(found) && (always || !changed)
}

func isObject(v any) bool {
	_, is := v.(map[string]any)
	return is
}

// namesIn are the names of a path. What stands before the first slash the library passes over.
func namesIn(path string) []string {
	names := strings.Split(path, "/")[1:]
	for i, name := range names {
		names[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	return names
}

// key writes names as a path in one way.
func key(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// lookup gives what stands at a path, and in what; nil where there is nothing.
func lookup(v any, names []string) (found, in any) {
	for _, name := range names {
		in = v
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(c) {
				return nil, nil
			}
			v = c[i]
		default:
			return nil, nil
		}
	}
	return v, in
}
