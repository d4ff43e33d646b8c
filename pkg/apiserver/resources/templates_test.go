package resources

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// TestTemplatesKeepWhatIsSwitchedOffWhereTheyHadIt: an update must not take away what pods are made with.
func TestTemplatesKeepWhatIsSwitchedOffWhereTheyHadIt(t *testing.T) {
	const inSpec = `{"spec": {"template": %}}`
	around := map[string]string{"deployments": inSpec, "replicasets": inSpec, "daemonsets": inSpec, "statefulsets": inSpec,
		"replicationcontrollers": inSpec, "jobs": inSpec, "cronjobs": `{"spec": {"jobTemplate": ` + inSpec + `}}`, "podtemplates": `{"template": %}`}
	for _, r := range All(testDeps()) {
		form, has := around[r.Plural]
		if !has {
			continue
		}
		delete(around, r.Plural)
		with := func(lifecycle string) resource.Object {
			template := `{"spec": {"containers": [{"name": "c", "lifecycle": ` + lifecycle + `}]}}`
			obj := r.New()
			if err := json.Unmarshal([]byte(strings.Replace(form, "%", template, 1)), obj); err != nil {
				t.Fatal(err)
			}
			r.Default(obj)
			return obj
		}
		const signal = `{"stopSignal": "SIGUSR1"}`
		for name, c := range map[string]struct {
			old  resource.Object
			kept bool
		}{"new": {nil, false}, "had none": {with(`{}`), false}, "had one": {with(signal), true}} {
			obj := with(signal)
			r.Prepare(context.Background(), obj, c.old)
			data, err := json.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			if kept := strings.Contains(string(data), "SIGUSR1"); kept != c.kept {
				t.Errorf("%s, %s: kept %v, want %v", r.Plural, name, kept, c.kept)
			}
		}
	}
	if len(around) > 0 {
		t.Errorf("not declared: %v", around)
	}
}
