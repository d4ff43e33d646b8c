package request

import (
	"context"
	"sync"
)

// Warnings collects the texts that an answer carries in Warning headers (code 299). Each text is kept
// once, in the order of its first appearance.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

// WithWarnings gives ctx a collector.
func WithWarnings(ctx context.Context) (context.Context, *Warnings) {
	w := &Warnings{}
	return context.WithValue(ctx, warningsKey, w), w
}

// Warn adds a text to the answer's warnings. Outside of a request it does nothing.
func Warn(ctx context.Context, text string) {
	w, _ := ctx.Value(warningsKey).(*Warnings)
	if w == nil || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.texts {
		if t == text {
			return
		}
	}
	w.texts = append(w.texts, text)
}

// Texts gives what was collected so far.
func (w *Warnings) Texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.texts...)
}

// WarningsOf gives what ctx's collector holds so far.
func WarningsOf(ctx context.Context) []string {
	w, _ := ctx.Value(warningsKey).(*Warnings)
	if w == nil {
		return nil
	}
	return w.Texts()
}
