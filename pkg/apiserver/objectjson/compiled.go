package objectjson

import (
	"reflect"
	"sync"
)

// compiled finds what was compiled for a type, or compiles it. A type that holds itself meets a stand-in for its own,
// which calls what made gives; made waits until that is there.
func compiled[F any](all *sync.Map, t reflect.Type, compile func(reflect.Type) F, standIn func(made func() F) F) F {
	if f, ok := all.Load(t); ok {
		return f.(F)
	}
	var f F
	var ready sync.WaitGroup
	ready.Add(1)
	other, loaded := all.LoadOrStore(t, standIn(func() F {
		ready.Wait()
		return f
	}))
	if loaded {
		return other.(F)
	}
	f = compile(t)
	ready.Done()
	all.Store(t, f)
	return f
}
