package request

import (
	"slices"
	"strings"
	"testing"
)

// TestWarningsThatAHeaderCannotCarryAreNotTold compares with what kube-apiserver makes of the same texts.
func TestWarningsThatAHeaderCannotCarryAreNotTold(t *testing.T) {
	long := strings.Repeat("é", 5000)
	behind := strings.Repeat("x", mostOfOne) + "\n"
	many := make([]string, 20)
	for i := range many {
		many[i] = strings.Repeat(string(rune('a'+i)), 300)
	}
	for name, c := range map[string]struct{ texts, want []string }{
		"each once":                      {[]string{"a", "", "b", "a"}, []string{"a", "b"}},
		"of several lines":               {[]string{"a\nb", "a\tb", "c"}, []string{"c"}},
		"no text at all":                 {[]string{"\xff", "c\u0085"}, nil},
		"one that is too long":           {[]string{"a", long, "b"}, []string{"a", long[:2*mostOfOne], "b"}},
		"what cannot be told is no room": {[]string{"\n" + long, "b" + long[:4000]}, []string{"b" + long[:4000]}},
		"lines behind what is cut off":   {[]string{behind, long}, []string{behind[:mostOfOne], long[:2*mostOfOne]}},
		"too many": {many, func() (want []string) {
			for _, text := range many[:16] {
				want = append(want, text[:mostOfOne])
			}
			return want
		}()},
	} {
		ctx, w := WithWarnings(t.Context())
		for _, text := range c.texts {
			Warn(ctx, text)
		}
		if got := w.Texts(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d warnings %.100q, want %d: %.100q", name, len(got), got, len(c.want), c.want)
		}
	}
}
