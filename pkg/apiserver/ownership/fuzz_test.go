package ownership

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// FuzzUpdate lets one manager turn any pod into any other, beside owners of anything: what comes out are sets
// of fields that can be read.
func FuzzUpdate(f *testing.F) {
	typ, err := Of(applyconfigurations.NewTypeConverter(scheme.Scheme), corev1.SchemeGroupVersion.WithKind("Pod"), &corev1.Pod{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"},{"name":"c"}]}}`),
		[]byte(`{"metadata":{"name":"p","labels":{"a":"c"}},"spec":{"containers":[{"name":"c","ports":[{"containerPort":1},{"containerPort":1}]}]}}`),
		[]byte(`[{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{}}}}}}]`))
	f.Add([]byte(`{}`), []byte(`{"spec":{"tolerations":[{},{}]}}`), []byte(`[{"fieldsV1":{"v:1":{},"i:0":{},"k:{}":{}}}]`))
	f.Fuzz(func(t *testing.T, from, to, managed []byte) {
		before, after := &corev1.Pod{}, &corev1.Pod{}
		var entries []metav1.ManagedFieldsEntry
		if json.Unmarshal(from, before) != nil || json.Unmarshal(to, after) != nil || json.Unmarshal(managed, &entries) != nil {
			return
		}
		got, err := typ.Update(before, after, entries, &Writer{Manager: "w", Version: "v1", Now: time.Unix(1000, 0)}, NewSets())
		if err != nil {
			return
		}
		for _, e := range got {
			if set := (&fieldpath.Set{}); e.FieldsV1 != nil {
				if err := json.Unmarshal(e.FieldsV1.Raw, set); err != nil {
					t.Errorf("%s owns %s: %v", e.Manager, e.FieldsV1.Raw, err)
				}
			}
		}
	})
}
