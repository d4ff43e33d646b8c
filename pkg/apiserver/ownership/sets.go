package ownership

import (
	"bytes"
	"fmt"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Sets reads sets of fields and remembers them, and what became of them by which changes: thousands of objects
// that one controller made have the same, and are changed alike.
type Sets struct {
	mu    sync.Mutex
	count uint64
	known generations[string, *known]
	done  generations[deed, *outcome]
}

// known is a set in both its forms. Neither is ever changed.
type known struct {
	set   *fieldpath.Set
	text  []byte
	id    uint64
	empty bool
}

// deed is a change of an object of a type and the sets that it meets.
type deed struct {
	of   *Type
	what string
}

// outcome is what owners have after a change: each of those that were there, and the writer, nil for nothing of
// its own.
type outcome struct {
	owners   []*known
	own      *known
	conflict bool // an apply takes what others own
	beyond   bool // and does more than Apply knows
}

// generation is how much is remembered before the older half goes, and longestDeed what is too long for that.
const (
	generation  = 1024
	longestDeed = 4096
)

// generations forget what was not asked for during one.
type generations[K comparable, V any] struct{ new, old map[K]V }

func (g *generations[K, V]) get(key K) (V, bool) {
	v, ok := g.new[key]
	if !ok {
		if v, ok = g.old[key]; ok {
			g.put(key, v)
		}
	}
	return v, ok
}

func (g *generations[K, V]) put(key K, v V) {
	if g.new == nil || len(g.new) >= generation {
		g.old, g.new = g.new, map[K]V{}
	}
	g.new[key] = v
}

// NewSets remembers none yet.
func NewSets() *Sets { return &Sets{} }

// read gives the set that a text tells of.
func (s *Sets) read(text []byte) (*known, error) {
	s.mu.Lock()
	k, ok := s.known.new[string(text)]
	if !ok {
		k, ok = s.known.get(string(text))
	}
	s.mu.Unlock()
	if ok {
		return k, nil
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("reading managed fields: %w", err)
	}
	k, err := s.write(set)
	if err == nil && !bytes.Equal(text, k.text) {
		s.mu.Lock()
		s.known.put(string(text), k)
		s.mu.Unlock()
	}
	return k, err
}

// write gives a set its text.
func (s *Sets) write(set *fieldpath.Set) (*known, error) {
	text, err := set.ToJSON()
	if err != nil {
		return nil, fmt.Errorf("writing managed fields: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known.get(string(text)); ok {
		return k, nil
	}
	s.count++
	k := &known{set: set, text: text, id: s.count, empty: set.Empty()}
	s.known.put(string(text), k)
	return k, nil
}

func (s *Sets) outcomeOf(of *Type, deedText []byte) *outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.done.new[deed{of, string(deedText)}]; ok {
		return o
	}
	o, _ := s.done.get(deed{of, string(deedText)})
	return o
}

func (s *Sets) keep(of *Type, deedText []byte, o *outcome) {
	if len(deedText) > longestDeed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.put(deed{of, string(deedText)}, o)
}
