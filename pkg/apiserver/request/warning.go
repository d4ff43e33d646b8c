package request

import (
	"context"
	"strings"
	"sync"
	"unicode"
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
	told  int  // characters of what can be told
	cuts  bool // they were too many
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
	if w.seen[text] || w.cuts && w.told >= mostWarned {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text] = true
	w.texts = append(w.texts, text)
	w.told += w.length(text)
	if !w.cuts && w.told > mostWarned {
		w.cuts, w.told = true, 0
		for _, t := range w.texts {
			w.told += w.length(t)
		}
	}
}

// length counts the characters of what is told of a text.
func (w *Warnings) length(text string) int {
	text, _ = w.tell(text)
	return utf8.RuneCountInString(text)
}

// tell gives what is told of a text: of one that a header cannot carry nothing, as upstream does.
func (w *Warnings) tell(text string) (string, bool) {
	if w.cuts && utf8.RuneCountInString(text) > mostOfOne {
		text = string([]rune(text)[:mostOfOne])
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", false
	}
	return text, true
}

// Texts gives what was collected so far.
func (w *Warnings) Texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, 0, len(w.texts))
	for _, text := range w.texts {
		if told, ok := w.tell(text); ok {
			out = append(out, told)
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
