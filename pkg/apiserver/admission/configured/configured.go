// Package configured keeps the configurations of admission that users write, each prepared once when it is
// written and not for every request.
package configured

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// List holds the prepared form of every object of a kind, in the order of their names.
type List[C any] struct {
	synced <-chan struct{}

	mu   sync.RWMutex
	made map[string]C
	all  []C // of made; replaced as a whole
}

// Follow keeps a list until ctx ends. prepare is called for each state of an object, one after another, and forget when
// the object has gone.
func Follow[T resource.Object, C any](ctx context.Context, reader resource.Reader, r schema.GroupResource, prepare func(T) C, forget func(name string)) (*List[C], error) {
	l := &List[C]{made: map[string]C{}}
	var err error
	l.synced, err = reader.Follow(ctx, r, func(obj, gone resource.Object) {
		if obj == nil {
			l.set(gone.GetName(), nil)
			forget(gone.GetName())
			return
		}
		if t, is := obj.(T); is {
			c := prepare(t)
			l.set(obj.GetName(), &c)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", r, err)
	}
	return l, nil
}

func (l *List[C]) set(name string, c *C) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c == nil {
		delete(l.made, name)
	} else {
		l.made[name] = *c
	}
	names := make([]string, 0, len(l.made))
	for n := range l.made {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	all := make([]C, 0, len(names))
	for _, n := range names {
		all = append(all, l.made[n])
	}
	l.all = all
}

// All gives the list as it is, once it has been read for the first time. It must not be changed.
func (l *List[C]) All(ctx context.Context) ([]C, error) {
	select {
	case <-l.synced:
	default:
		select {
		case <-l.synced:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.all, nil
}
