package request

import (
	"context"
	"slices"
	"sync"
	"unicode/utf8"
)

// Bounds of the warnings of one answer, in characters, as kube-apiserver's: when all together are longer than
// mostWarned each is cut to mostOfOne, and what comes after mostWarned of those is left out.
const (
	mostWarned = 4 << 10
	mostOfOne  = 256
)

// Warnings collects the texts that an answer carries in Warning headers (code 299). Each text is kept
// once, in the order of its first appearance.
type Warnings struct {
	mu    sync.Mutex
	texts []string
	seen  map[string]bool
	whole int // characters of all texts
	cut   int // the same, of each only what may be told where they are cut
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
	if w.seen[text] || w.whole > mostWarned && w.cut >= mostWarned {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text] = true
	w.texts = append(w.texts, text)
	n := utf8.RuneCountInString(text)
	w.whole += n
	w.cut += min(n, mostOfOne)
}

// Texts gives what was collected so far.
func (w *Warnings) Texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.texts)
	if w.whole <= mostWarned {
		return out
	}
	for i, text := range out {
		if utf8.RuneCountInString(text) > mostOfOne {
			out[i] = string([]rune(text)[:mostOfOne])
		}
	}
	return out
}

// WarningsOf gives what ctx's collector holds so far.
func WarningsOf(ctx context.Context) []string {
	w, _ := ctx.Value(warningsKey).(*Warnings)
	if w == nil {
		return nil
	}
	return w.Texts()
}
