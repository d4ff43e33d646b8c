package documents

import (
	"slices"
	"strings"
	"testing"
)

func document(t *testing.T, text string) *Document {
	t.Helper()
	d, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOrderAndOwnWordsCountForNothing(t *testing.T) {
	a := document(t, `{"definitions":{"io.k8s.kube-aggregator.A":{"description":"one","required":["x","y"]}}}`)
	b := document(t, `{"definitions":{"io.k8s.kube-aggregator.A":{"required":["y","x"],"description":"another"}}}`)
	if d := a.Differences(b); len(d) != 0 || !slices.Equal(a.Digest(), b.Digest()) {
		t.Errorf("%v; digests %v and %v", d, a.Digest(), b.Digest())
	}
}

func TestEveryDifferenceIsTold(t *testing.T) {
	got := document(t, `{"paths":{"/a":{"get":{"id":"one","tags":["x"]}},"/b":{}},"components":{"schemas":{"B":{"type":"string"}}}}`)
	want := document(t, `{"paths":{"/a":{"get":{"id":"two","tags":["x","y"]}},"/c":{}},"components":{"schemas":{"B":{"type":"integer"}}}}`)
	told := strings.Join(got.Differences(want), "\n")
	for _, part := range []string{`|paths|/a|get|id: got "one", want "two"`, `|paths|/a|get|tags: got ["x"], want ["x","y"]`, "|paths|/b: not wanted",
		"|paths|/c: missing", `|components|schemas|B|type: got "string", want "integer"`} {
		if !strings.Contains(told, part) {
			t.Errorf("%q is not told of in:\n%s", part, told)
		}
	}
	for i, line := range got.Digest() {
		if line == want.Digest()[i] {
			t.Errorf("the digest %q is that of both", line)
		}
	}
}
