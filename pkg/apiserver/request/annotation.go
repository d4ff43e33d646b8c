package request

import (
	"context"
	"maps"
	"sync"
)

// Annotations collects what the audit log notes of a request beside what was asked and answered. A key that
// stands keeps its first value.
type Annotations struct {
	mu     sync.Mutex
	values map[string]string
}

// WithAnnotations gives ctx a collector.
func WithAnnotations(ctx context.Context) (context.Context, *Annotations) {
	a := &Annotations{values: map[string]string{}}
	return context.WithValue(ctx, annotationsKey, a), a
}

// Annotate adds a note. Where nobody collects it does nothing.
func Annotate(ctx context.Context, key, value string) {
	a, _ := ctx.Value(annotationsKey).(*Annotations)
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, stands := a.values[key]; !stands {
		a.values[key] = value
	}
}

// All gives what was collected so far.
func (a *Annotations) All() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.values)
}
