package ownership

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
)

// merge walks down what is wanted, puts it into an object and writes down where it goes, as a comparison does.
type merge struct {
	comparison
	changed bool // a value, or the order of a list
}

// node merges what is wanted into a value that may be absent.
func (m *merge) node(n *node, v reflect.Value, here bool, want any) error {
	live := operand{}
	if here {
		live = there(v)
	}
	if n.form == scalar || n.atomic || bare(want) && live.bare(n) {
		return m.leaf(n, v, live, want)
	}
	var err error
	switch want := want.(type) {
	case map[string]any:
		switch n.form {
		case record:
			err = m.record(n, filled(v), live, want)
		case table:
			err = m.table(n, filled(v), live, want)
		default:
			return ErrNotOrdinary
		}
	case []any:
		if n.form != list {
			return ErrNotOrdinary
		}
		err = m.list(n, filled(v), live, want)
	default:
		return ErrNotOrdinary
	}
	if !here && err == nil {
		m.change(added)
	}
	return err
}

func (m *merge) change(what change) {
	m.changed = true
	m.mark(what)
}

func (m *merge) leaf(n *node, v reflect.Value, live operand, want any) error {
	if live.v.IsValid() && n.tells(live.v, want) {
		return nil
	}
	fresh := reflect.New(v.Type()).Elem()
	if err := n.read(fresh, want); err != nil {
		return err
	}
	v.Set(fresh)
	if live.here {
		m.change(modified)
	} else {
		m.change(added)
	}
	return nil
}

func (m *merge) record(n *node, v reflect.Value, live operand, want map[string]any) error {
	return n.named(v, want, func(f *member, part reflect.Value, here bool, value any) error {
		m.enter()
		m.path = append(m.path, f.token...)
		if err := m.node(f.node, part, here && live.v.IsValid(), value); err != nil {
			return err
		}
		if object, is := value.(map[string]any); f.node.form == scalar || f.node.atomic || is && len(object) == 0 {
			m.mark(owned)
		}
		m.leave()
		return nil
	})
}

func (m *merge) table(n *node, v reflect.Value, live operand, want map[string]any) error {
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(want)))
	}
	elem := reflect.New(v.Type().Elem()).Elem()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		key := reflect.ValueOf(name).Convert(v.Type().Key())
		elem.SetZero()
		here := false
		if live.v.IsValid() {
			if old := live.v.MapIndex(key); old.IsValid() {
				elem.Set(old)
				here = true
			}
		}
		m.enter()
		m.path = appendField(m.path, name)
		if err := m.node(n.elem, elem, here, want[name]); err != nil {
			return err
		}
		m.mark(owned)
		m.leave()
		v.SetMapIndex(key, elem)
	}
	return nil
}

// list merges the items of a list by their names.
func (m *merge) list(n *node, v reflect.Value, live operand, want []any) error {
	have, err := n.liveNames(live)
	if err != nil {
		return err
	}
	names, err := n.wantedNames(want)
	if err != nil {
		return err
	}
	places, err := arranged(have, names)
	if err != nil {
		return err
	}
	out := reflect.MakeSlice(v.Type(), len(places), len(places))
	last := -1
	for i, p := range places {
		if p.live >= 0 {
			out.Index(i).Set(live.v.Index(p.live))
			m.changed = m.changed || p.live < last
			last = p.live
		}
		if p.wanted < 0 {
			continue
		}
		m.enter()
		m.path = append(m.path, names[p.wanted]...)
		if err := m.node(n.elem, out.Index(i), p.live >= 0, want[p.wanted]); err != nil {
			return err
		}
		m.mark(owned)
		m.leave()
	}
	v.Set(out)
	return nil
}

// place is where an item of a merged list comes from; -1 for nowhere.
type place struct{ live, wanted int }

// arranged puts the items of two lists in the order of the one that is wanted; those that stand only in the other
// keep their place among their neighbours as far as that goes.
func arranged(live, wanted [][]byte) ([]place, error) {
	inWanted, inLive := matched(live, wanted)
	if inWanted == nil {
		return nil, ErrNotOrdinary
	}
	var shared []int // of what is wanted, what is there
	for w, l := range inLive {
		if l >= 0 {
			shared = append(shared, w)
		}
	}
	out := make([]place, 0, len(live)+len(wanted))
	for l, w := 0, 0; l < len(live) || w < len(wanted); {
		if l < len(live) {
			at := inWanted[l]
			if at < 0 {
				out = append(out, place{l, -1})
			}
			if at < 0 || at != w && shared[0] != at { // what is both wanted and still to come here is among the shared
				l++
				continue
			}
			if at == w {
				l++
			}
		}
		out = append(out, place{inLive[w], w})
		if len(shared) > 0 && shared[0] == w {
			shared = shared[1:]
		}
		w++
	}
	return out, nil
}

// matched finds where each item of one list stands in the other, -1 for nowhere. An item that stands twice in one of
// them has no place: nil.
func matched(live, wanted [][]byte) (inWanted, inLive []int) {
	find := func(name []byte) int {
		return slices.IndexFunc(wanted, func(o []byte) bool { return bytes.Equal(o, name) })
	}
	if len(live)+len(wanted) > fewItems {
		at := make(map[string]int, len(wanted))
		for i, name := range wanted {
			if _, twice := at[string(name)]; twice {
				return nil, nil
			}
			at[string(name)] = i
		}
		find = func(name []byte) int {
			if i, ok := at[string(name)]; ok {
				return i
			}
			return -1
		}
	} else {
		for i, name := range wanted {
			if find(name) != i {
				return nil, nil
			}
		}
	}
	inLive = slices.Repeat([]int{-1}, len(wanted))
	inWanted = make([]int, len(live))
	for i, name := range live {
		at := find(name)
		inWanted[i] = at
		if at >= 0 && inLive[at] >= 0 {
			return nil, nil
		}
		if at >= 0 {
			inLive[at] = i
		}
	}
	return inWanted, inLive
}

// liveNames are the names of the items of a list.
func (n *node) liveNames(o operand) ([][]byte, error) {
	return namesOf(o.length(), func(to []byte, i int) ([]byte, error) { return n.appendName(to, there(o.v.Index(i))) })
}

// wantedNames are the names of items in JSON.
func (n *node) wantedNames(items []any) ([][]byte, error) {
	return namesOf(len(items), func(to []byte, i int) ([]byte, error) { return n.appendWantedName(to, items[i]) })
}

func namesOf(count int, appendName func(to []byte, i int) ([]byte, error)) ([][]byte, error) {
	names, all := make([][]byte, count), make([]byte, 0, 32*count)
	for i := range names {
		begin := len(all)
		var err error
		if all, err = appendName(all, i); err != nil {
			return nil, err
		}
		names[i] = all[begin:len(all):len(all)]
	}
	return names, nil
}

func (n *node) appendWantedName(to []byte, item any) (_ []byte, err error) {
	if len(n.keys) == 0 {
		return n.elem.appendWanted(append(to, valueElement), item)
	}
	object, is := item.(map[string]any)
	if !is {
		return nil, errKeys
	}
	to = append(to, keyElement, 0)
	count := len(to) - 1
	for _, k := range n.keys {
		value, here := object[k.member.name]
		if !here && k.standsIn == nil {
			continue
		}
		to[count]++
		to = appendText(to, k.member.name)
		if here {
			to, err = k.member.node.appendWanted(to, value)
		} else {
			to, err = appendPlain(to, k.standsIn)
		}
		if err != nil {
			return nil, err
		}
	}
	if to[count] == 0 {
		return nil, errKeys
	}
	return to, nil
}

// appendWanted appends a scalar as appendValue does what the object then has.
func (n *node) appendWanted(to []byte, value any) ([]byte, error) {
	v := reflect.New(n.goType).Elem()
	if err := n.read(v, value); err != nil {
		return nil, err
	}
	return n.appendValue(to, v)
}

// filled gives what a pointer points to, made if there is nothing.
func filled(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// bare says that there is nothing in what is wanted.
func bare(want any) bool {
	switch want := want.(type) {
	case map[string]any:
		return len(want) == 0
	case []any:
		return len(want) == 0
	}
	return false
}
