package objectpatch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

// many writes n items, each with its number, between brackets.
func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = strings.ReplaceAll(format, "%d", fmt.Sprint(i))
	}
	return "[" + strings.Join(items, ",") + "]"
}

func TestOperationsThatMoveTooMuchAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, before, patch string
		refused             bool
	}{
		{"as many insertions as a patch may hold", `{"x":[]}`, many(10000, `{"op":"add","path":"/x/0","value":1}`), false},
		{"insertions into a long list", `{"x":` + many(100000, "1") + `}`, many(1000, `{"op":"add","path":"/x/0","value":1}`), true},
		{"removals from one", `{"x":` + many(100000, "1") + `}`, many(1000, `{"op":"remove","path":"/x/0"}`), true},
		{"moves to its end", `{"x":` + many(100000, "1") + `}`, many(1000, `{"op":"move","from":"/x/0","path":"/x/-"}`), true},
		{"additions to its end", `{"x":` + many(100000, "1") + `}`, many(1000, `{"op":"add","path":"/x/-","value":1}`), false},
		{"changes in place", `{"x":` + many(100000, "1") + `}`, many(1000, `{"op":"replace","path":"/x/%d","value":2}`), false},
		{"a few insertions", `{"x":` + many(100000, "1") + `}`, many(100, `{"op":"add","path":"/x/0","value":1}`), false},
		{"a long list of the patch's own", `{}`, `[{"op":"add","path":"/x","value":` + many(100000, "1") + `},` + many(1000, `{"op":"remove","path":"/x/0"}`)[1:], true},
		{"few operations on that", `{}`, `[{"op":"add","path":"/x","value":` + many(1000000, "1") + `},` + many(200, `{"op":"remove","path":"/x/0"}`)[1:], true},
		{"text that looks like a long list", `{"x":[],"y":"` + strings.Repeat(`[\",\\`, 100000) + `"}`, many(1000, `{"op":"add","path":"/x/0","value":1}`), false},
		{"names in a map that are numbers", `{"data":{"a":"` + strings.Repeat("x,", 100000) + `"},"x":` + many(10000, "1") + `}`, many(9000, `{"op":"add","path":"/data/%d","value":"v"}`), false},
		{"such names in a map of the patch's own", `{"x":` + many(10000, "1") + `}`, `[{"op":"add","path":"/data","value":{}},` + many(9000, `{"op":"add","path":"/data/%d","value":"v"}`)[1:], false},
		{"such names in a map in a list", `{"x":` + many(10000, `{"data":{}}`) + `}`, many(9000, `{"op":"add","path":"/x/7/data/%d","value":"v"}`), false},
		{"a list in a map's place", `{"data":{},"x":` + many(100000, "1") + `}`, `[{"op":"replace","path":"/data","value":[]},{"op":"copy","from":"/x","path":"/data"},` + many(1000, `{"op":"add","path":"/data/0","value":1}`)[1:], true},
		{"a list that moves into a map's place", `{"x":[{"m":{}},{"m":` + many(100000, "1") + `}]}`, `[{"op":"remove","path":"/x/00"},` + many(1000, `{"op":"add","path":"/x/0/m/0","value":1}`)[1:], true},
		{"a list in a map's place by another name of it", `{"~":{},"x":` + many(100000, "1") + `}`, `[{"op":"copy","from":"/x","path":"z/~0"},` + many(1000, `{"op":"add","path":"/~/0","value":1}`)[1:], true},
		{"a list for the whole", `{"x":{},"y":1}`, `[{"op":"replace","path":"","value":{"x":` + many(100000, "1") + `}},` + many(1000, `{"op":"add","path":"/x/0","value":1}`)[1:], true},
		{"a list in a map of the patch's own", `{}`, `[{"op":"add","path":"/a","value":{"b":` + many(100000, "1") + `}},` + many(1000, `{"op":"add","path":"/a/b/0","value":1}`)[1:], true},
	} {
		patch, err := jsonpatch.DecodePatch([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Operations([]byte(c.before), patch); errors.Is(err, ErrTooMuch) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestListsThatAreTooLongToBeMergedAreRefused(t *testing.T) {
	meta, err := strategicpatch.NewPatchMetaFromStruct(&corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	pod := func(env int) string {
		return `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","args":` + many(env, `"%d"`) + `,"env":` + many(env, `{"name":"e%d"}`) + `}]}}`
	}
	containers := func(members ...string) string {
		return `{"spec":{"containers":[{"name":"c",` + strings.Join(members, `},{"name":"c",`) + `}]}}`
	}
	env := func(from, n int) string { return `"env":` + many(n, `{"name":"f%d-`+fmt.Sprint(from)+`"}`) }
	var again []string
	for i := range 20 {
		again = append(again, env(i, 1000))
	}
	for _, c := range []struct {
		name, object, patch string
		refused             bool
	}{
		{"as much as an administrator may write", pod(1500), containers(`"$setElementOrder/env":` + many(1600, `{"name":"e%d"}`) + `,"env":` + many(1600, `{"name":"e%d","value":"x"}`)), false},
		{"a long list, merged", pod(5000), containers(`"env":` + many(5000, `{"name":"f%d"}`)), true},
		{"a long list, in order", pod(5000), containers(`"$setElementOrder/env":` + many(5000, `{"name":"e%d"}`)), true},
		{"a long list without items", pod(5000), containers(`"env":` + many(5000, `{"$patch":"delete","name":"f%d"}`)), true},
		{"one of a long list", pod(10000), containers(`"env":[{"$patch":"delete","name":"e1"}]`), true},
		{"an order of what only the patch has", pod(1), `{"spec":{"$setElementOrder/tolerations":` + many(5000, `{"key":"%d"}`) + `,"tolerations":` + many(5000, `{"key":"%d"}`) + `}}`, true},
		{"a list that is replaced", pod(10000), containers(`"args":` + many(10000, `"x%d"`)), false},
		{"a list that was not there", pod(1), containers(`"volumeMounts":` + many(10000, `{"mountPath":"/%d"}`)), false},
		{"words in a list without keys", `{"metadata":{"finalizers":` + many(5000, `"a/%d"`) + `}}`, `{"metadata":{"finalizers":` + many(5000, `"b/%d"`) + `}}`, true},
		{"an item that is named twice", pod(10), containers(env(0, 500), env(500, 500)), false},
		{"an item that is named again and again", pod(10), containers(again...), true},
		{"a new one that is", `{"spec":{"containers":[]}}`, containers(again...), true},
	} {
		var old, changes map[string]any
		if err := errors.Join(kjson.UnmarshalCaseSensitivePreserveInts([]byte(c.object), &old), kjson.UnmarshalCaseSensitivePreserveInts([]byte(c.patch), &changes)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := Bounded(old, changes, meta); errors.Is(err, ErrTooMuch) != c.refused {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
