package podrefs

import (
	"reflect"
	"regexp"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// texts gives each text that a value has a place for in turn: path says where it stands, and set puts it there.
func texts(t reflect.Type, path string, set func(fill func(reflect.Value)), found func(path string, set func(fill func(reflect.Value)))) {
	within := func(t reflect.Type, path string, part func(reflect.Value) reflect.Value) {
		texts(t, path, func(fill func(reflect.Value)) { set(func(v reflect.Value) { fill(part(v)) }) }, found)
	}
	switch t.Kind() {
	case reflect.String:
		found(path, set)
	case reflect.Pointer:
		within(t.Elem(), path, func(v reflect.Value) reflect.Value { v.Set(reflect.New(t.Elem())); return v.Elem() })
	case reflect.Slice:
		within(t.Elem(), path, func(v reflect.Value) reflect.Value { v.Set(reflect.MakeSlice(t, 1, 1)); return v.Index(0) })
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				within(f.Type, path+"."+f.Name, func(v reflect.Value) reflect.Value { return v.Field(i) })
			}
		}
	}
}

// TestEveryWayToNameAnObjectIsFound goes by the type of pods: a field, or a kind of container, that is new to it counts
// at once (CVE-2023-2728, CVE-2024-3177).
func TestEveryWayToNameAnObjectIsFound(t *testing.T) {
	for what, c := range map[string]struct {
		path *regexp.Regexp
		find func(*corev1.Pod) []string
		ways int
	}{
		"secrets":     {regexp.MustCompile(`(Secrets?|Secret(Ref|KeyRef)|NodePublishSecretRef)(\.LocalObjectReference)?\.Name$|SecretName$`), Secrets, 18},
		"config maps": {regexp.MustCompile(`ConfigMap(Ref|KeyRef)?(\.LocalObjectReference)?\.Name$`), ConfigMaps, 8},
		"claims":      {regexp.MustCompile(`PersistentVolumeClaim\.ClaimName$`), Claims, 1},
		"devices":     {regexp.MustCompile(`ResourceClaimName$`), ResourceClaims, 1},
	} {
		ways := 0
		var pod *corev1.Pod
		start := func(fill func(reflect.Value)) { fill(reflect.ValueOf(&pod.Spec).Elem()) }
		texts(reflect.TypeFor[corev1.PodSpec](), "spec", start, func(path string, set func(func(reflect.Value))) {
			if !c.path.MatchString(path) {
				return
			}
			ways++
			pod = &corev1.Pod{}
			set(func(v reflect.Value) { v.SetString("named") })
			if !slices.Contains(c.find(pod), "named") {
				t.Errorf("%s: %s is not found", what, path)
			}
		})
		if ways < c.ways {
			t.Errorf("%s: there are %d ways to name one", what, ways)
		}
	}
}
