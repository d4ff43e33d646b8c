package crd

import "sync"

// lasting gives a function that remembers what make has made. Where that fails it is tried again at the next call:
// whether a schema can be read depends on more than the schema.
func lasting[T any](make func() (T, error)) func() (T, error) {
	var mu sync.Mutex
	var made bool
	var v T
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if made {
			return v, nil
		}
		out, err := make()
		if err != nil {
			return v, err
		}
		v, made = out, true
		return v, nil
	}
}
