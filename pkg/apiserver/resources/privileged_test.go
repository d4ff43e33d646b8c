package resources

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podsecurity "k8s.io/pod-security-admission/admission"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// privileged is an object of a kind that holds a pod's spec, with privileged containers in it; nil of another kind.
func privileged(t *testing.T, r *resource.Resource) resource.Object {
	t.Helper()
	pods := podsecurity.DefaultPodSpecExtractor{}
	if !pods.HasPodSpec(schema.GroupResource{Group: r.Kind.Group, Resource: r.Plural}) {
		return nil
	}
	obj := r.New()
	if rc, ok := obj.(*corev1.ReplicationController); ok {
		rc.Spec.Template = &corev1.PodTemplateSpec{}
	}
	if r.Default != nil {
		r.Default(obj)
	}
	_, spec, err := pods.ExtractPodSpec(obj)
	if err != nil {
		t.Fatal(err)
	}
	yes, nobody := true, int64(-1)
	context := &corev1.SecurityContext{Privileged: &yes, RunAsUser: &nobody}
	onHost := &corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{HostProcess: &yes}}
	spec.InitContainers = []corev1.Container{{Name: "init", SecurityContext: context}}
	spec.Containers = []corev1.Container{{Name: "one", SecurityContext: onHost}, {Name: "two", SecurityContext: context}}
	look := corev1.EphemeralContainerCommon{Name: "look", SecurityContext: context}
	spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: look}}
	return obj
}

func TestPrivilegedContainersAreRefusedUnlessAllowed(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		deps := testDeps()
		deps.AllowPrivileged = allowed
		for _, r := range All(deps) {
			obj := privileged(t, r)
			if obj == nil {
				continue
			}
			at := "spec.template.spec"
			switch r.Plural {
			case "pods":
				at = "spec"
			case "podtemplates":
				at = "template.spec"
			case "cronjobs":
				at = "spec.jobTemplate.spec.template.spec"
			}
			var want []string // the user, which is none, is judged right after
			for _, c := range []string{".containers[1]", ".initContainers[0]", ".ephemeralContainers[0]"} {
				if !allowed {
					want = append(want, at+c+".securityContext.privileged")
				}
				want = append(want, at+c+".securityContext.runAsUser")
			}
			if !allowed {
				want = append(want, at)
			}
			if got := refused(r.Validate(t.Context(), obj, nil)); !slices.Equal(got, want) {
				t.Errorf("%s, allowed: %t: %v, want %v", r.Plural, allowed, got, want)
			}
			for _, s := range r.Subresources {
				if s.Name != "resize" && s.Name != "ephemeralcontainers" {
					continue
				}
				if got := refused(s.Update.Validate(t.Context(), obj, r.New())); !slices.Equal(got, want) {
					t.Errorf("%s/%s, allowed: %t: %v, want %v", r.Plural, s.Name, allowed, got, want)
				}
			}
		}
	}
}

// TestTemplatesThatWerePrivileged: what a stateful set had already keeps nobody from changing the rest; other kinds are
// refused as before.
func TestTemplatesThatWerePrivileged(t *testing.T) {
	for _, r := range All(testDeps()) {
		if obj := privileged(t, r); obj != nil {
			want := r.Plural != "statefulsets"
			if got := refused(r.Validate(t.Context(), obj, obj)); len(got) > 0 != want {
				t.Errorf("%s: refused as it was: %v", r.Plural, got)
			}
		}
	}
}

// refused are the places of faults that say that a container is privileged, or runs as no user.
func refused(faults field.ErrorList) (paths []string) {
	for _, f := range faults {
		if strings.HasSuffix(f.Detail, "disallowed by cluster policy") || strings.HasSuffix(f.Field, ".securityContext.runAsUser") {
			paths = append(paths, f.Field)
		}
	}
	return paths
}
