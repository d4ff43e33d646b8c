package resources

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podsecurity "k8s.io/pod-security-admission/admission"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

func TestPrivilegedContainersAreRefusedUnlessAllowed(t *testing.T) {
	yes := true
	privileged := &corev1.SecurityContext{Privileged: &yes}
	for _, allowed := range []bool{false, true} {
		deps := testDeps()
		deps.AllowPrivileged = allowed
		for _, r := range All(deps) {
			name := schema.GroupResource{Group: r.Kind.Group, Resource: r.Plural}
			holds := podsecurity.DefaultPodSpecExtractor{}.HasPodSpec(name)
			path, _ := podSpec(r.New())
			if holds != (path != nil) {
				t.Errorf("%s holds a pod's spec: %t, and one was found: %t", r.Plural, holds, path != nil)
			}
			if path == nil {
				continue
			}
			obj, old := r.New(), r.New()
			for _, o := range []resource.Object{obj, old} {
				if rc, ok := o.(*corev1.ReplicationController); ok {
					rc.Spec.Template = &corev1.PodTemplateSpec{}
				}
				if r.Default != nil {
					r.Default(o)
				}
			}
			_, spec := podSpec(obj)
			spec.InitContainers = []corev1.Container{{Name: "init", SecurityContext: privileged}}
			spec.Containers = []corev1.Container{{Name: "one"}, {Name: "two", SecurityContext: privileged}}
			look := corev1.EphemeralContainerCommon{Name: "look", SecurityContext: privileged}
			spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: look}}
			at := path.String()
			want := []string{at + ".initContainers[0]", at + ".containers[1]", at + ".ephemeralContainers[0]"}
			if allowed {
				want = nil
			}
			judges := map[string]judgement{"": r.Validate}
			for _, s := range r.Subresources {
				if s.Update != nil && s.Update.Validate != nil && s.Name != "status" {
					judges[s.Name] = s.Update.Validate
				}
			}
			for name, validate := range judges {
				if got := refusedAsPrivileged(validate(t.Context(), obj, old)); !slices.Equal(got, want) {
					t.Errorf("%s/%s, allowed: %t: %v, want %v", r.Plural, name, allowed, got, want)
				}
			}
		}
	}
}

// refusedAsPrivileged are the paths of the containers that were refused.
func refusedAsPrivileged(faults field.ErrorList) (paths []string) {
	for _, f := range faults {
		if f.Type == field.ErrorTypeForbidden && f.Detail == "disallowed by cluster policy" {
			paths = append(paths, f.Field[:len(f.Field)-len(".securityContext.privileged")])
		}
	}
	return paths
}
