package ownership

import (
	"bytes"
	"fmt"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Sets reads sets of fields and remembers them: thousands of objects that one controller made have the same.
type Sets struct {
	mu       sync.Mutex
	new, old map[string]*known // two generations: what was not asked for during one is forgotten
}

// known is a set in both its forms. Neither is ever changed.
type known struct {
	set  *fieldpath.Set
	text []byte
}

// generation is how many sets are remembered before the older half goes.
const generation = 1024

// NewSets remembers none yet.
func NewSets() *Sets { return &Sets{new: map[string]*known{}} }

func (s *Sets) read(text []byte) (*known, error) {
	if k := s.find(text); k != nil {
		return k, nil
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("reading managed fields: %w", err)
	}
	k, err := write(set)
	if err == nil {
		s.keep(string(text), k)
	}
	return k, err
}

func (s *Sets) find(text []byte) *known {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.new[string(text)]; k != nil {
		return k
	}
	k := s.old[string(text)]
	if k != nil {
		s.add(string(text), k)
	}
	return k
}

func (s *Sets) keep(text string, k *known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(text, k)
}

func (s *Sets) add(text string, k *known) {
	if len(s.new) >= generation {
		s.old, s.new = s.new, map[string]*known{}
	}
	s.new[text] = k
}

// write gives a set its text.
func write(set *fieldpath.Set) (*known, error) {
	text, err := set.ToJSON()
	if err != nil {
		return nil, fmt.Errorf("writing managed fields: %w", err)
	}
	return &known{set: set, text: text}, nil
}
