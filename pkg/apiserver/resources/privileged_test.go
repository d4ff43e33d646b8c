package resources

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podsecurity "k8s.io/pod-security-admission/admission"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

func TestPrivilegedContainersAreRefusedUnlessAllowed(t *testing.T) {
	yes := true
	privileged := &corev1.SecurityContext{Privileged: &yes}
	onHost := &corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{HostProcess: &yes}}
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
			spec.Containers = []corev1.Container{{Name: "one", SecurityContext: onHost}, {Name: "two", SecurityContext: privileged}}
			look := corev1.EphemeralContainerCommon{Name: "look", SecurityContext: privileged}
			spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: look}}
			at := path.String()
			want := []string{at + ".initContainers[0]", at + ".containers[1]", at + ".ephemeralContainers[0]", at}
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

func TestStatefulSetsThatWerePrivilegedCanBeScaled(t *testing.T) {
	yes := true
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}
	none := func(context.Context, resource.Object, resource.Object) field.ErrorList { return nil }
	had := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: template}}
	for _, c := range []struct {
		old  resource.Object
		want int
	}{{nil, 1}, {&appsv1.StatefulSet{}, 1}, {had, 0}} {
		if got := alsoUnprivileged(none)(t.Context(), had, c.old); len(got) != c.want {
			t.Errorf("after %v: %v, want %d faults", c.old, got, c.want)
		}
	}
}

// refusedAsPrivileged are the paths of the containers that were refused.
func refusedAsPrivileged(faults field.ErrorList) (paths []string) {
	for _, f := range faults {
		if f.Type == field.ErrorTypeForbidden && strings.HasSuffix(f.Detail, "disallowed by cluster policy") {
			paths = append(paths, strings.TrimSuffix(f.Field, ".securityContext.privileged"))
		}
	}
	return paths
}
