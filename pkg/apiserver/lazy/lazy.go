// Package lazy makes values when they are first asked for.
package lazy

import "sync"

// Value is made once. Where that fails it is tried again when it is next asked for: whether a schema can be read
// depends on more than the schema. The zero Value is ready.
type Value[T any] struct {
	mu   sync.Mutex
	made bool
	v    T
}

// Get gives the value, which make makes if it is not there. Who asks meanwhile waits.
func (l *Value[T]) Get(make func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made {
		return l.v, nil
	}
	v, err := make()
	if err != nil {
		var none T
		return none, err
	}
	l.v, l.made = v, true
	return v, nil
}

// Func is a function that gives one Value.
func Func[T any](make func() (T, error)) func() (T, error) {
	l := &Value[T]{}
	return func() (T, error) { return l.Get(make) }
}
