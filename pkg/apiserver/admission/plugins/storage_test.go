package plugins

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	apiresource "github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// classes are storage classes by name, made at the second that is told, changed by edit.
func classes(t *testing.T, list map[string]func(*storagev1.StorageClass)) *Config {
	t.Helper()
	cfg := &Config{Access: resourcetest.New()}
	for name, edit := range list {
		c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
		edit(c)
		if _, err := cfg.Access.Create(t.Context(), storageClasses, c); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func marked(second int64, annotation string) func(*storagev1.StorageClass) {
	return func(c *storagev1.StorageClass) {
		c.CreationTimestamp = metav1.Time{Time: time.Unix(second, 0)}
		c.Annotations = map[string]string{annotation: "true"}
	}
}

// writing is a write of a claim, changed by edit.
func writing(op admission.Operation, obj, old *corev1.PersistentVolumeClaim) *admission.Attributes {
	a := &admission.Attributes{Operation: op, Resource: corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), Name: "c", Object: obj}
	if old != nil {
		a.OldObject = old
	}
	return a
}

func TestClaimsWithoutAClassGetTheNewestDefault(t *testing.T) {
	unmarked := func(*storagev1.StorageClass) {}
	for _, test := range []struct {
		name    string
		classes map[string]func(*storagev1.StorageClass)
		claim   corev1.PersistentVolumeClaim
		want    *string
	}{
		{"no class is marked", map[string]func(*storagev1.StorageClass){"a": unmarked}, corev1.PersistentVolumeClaim{}, nil},
		{"one is", map[string]func(*storagev1.StorageClass){"a": unmarked, "b": marked(1, defaultClassAnnotation)}, corev1.PersistentVolumeClaim{}, new("b")},
		{"two are", map[string]func(*storagev1.StorageClass){"a": marked(1, defaultClassAnnotation), "b": marked(2, betaDefaultClassAnnotation)}, corev1.PersistentVolumeClaim{}, new("b")},
		{"two of one second are", map[string]func(*storagev1.StorageClass){"b": marked(1, defaultClassAnnotation), "a": marked(1, defaultClassAnnotation)}, corev1.PersistentVolumeClaim{}, new("a")},
		{"the claim wants none", map[string]func(*storagev1.StorageClass){"a": marked(1, defaultClassAnnotation)},
			corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: new("")}}, new("")},
		{"the claim names one as of old", map[string]func(*storagev1.StorageClass){"a": marked(1, defaultClassAnnotation)},
			corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.BetaStorageClassAnnotation: "b"}}}, nil},
	} {
		claim := test.claim.DeepCopy()
		if err := defaultStorageClass(classes(t, test.classes)).Admit(t.Context(), writing(admission.Create, claim, nil)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := claim.Spec.StorageClassName; (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: class %v, want %v", test.name, got, test.want)
		}
	}
}

func TestClaimsGrowWhereTheirClassLetsThem(t *testing.T) {
	cfg := classes(t, map[string]func(*storagev1.StorageClass){
		"grows": func(c *storagev1.StorageClass) { c.AllowVolumeExpansion = new(true) },
		"stays": func(c *storagev1.StorageClass) { c.AllowVolumeExpansion = new(false) },
	})
	sized := func(class, size string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		if class != "" {
			c.Spec.StorageClassName = &class
		}
		return c
	}
	const unbound = `persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded`
	const fixed = `persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`
	for _, test := range []struct {
		name, class, size string
		phase             corev1.PersistentVolumeClaimPhase
		want              string
	}{
		{"as it was", "stays", "1Gi", corev1.ClaimPending, ""},
		{"smaller", "stays", "1Mi", corev1.ClaimBound, ""},
		{"larger", "grows", "2Gi", corev1.ClaimBound, ""},
		{"larger before it is bound", "grows", "2Gi", corev1.ClaimPending, unbound},
		{"larger than its class allows", "stays", "2Gi", corev1.ClaimBound, fixed},
		{"larger, of a class that is gone", "gone", "2Gi", corev1.ClaimBound, fixed},
		{"larger, of no class", "", "2Gi", corev1.ClaimBound, fixed},
	} {
		err := claimResize(cfg).Validate(t.Context(), writing(admission.Update, sized(test.class, test.size, test.phase), sized(test.class, "1Gi", test.phase)))
		if got := errText(err); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	status := writing(admission.Update, sized("stays", "2Gi", corev1.ClaimBound), sized("stays", "1Gi", corev1.ClaimBound))
	status.Subresource = "status"
	if err := claimResize(cfg).Validate(t.Context(), status); err != nil {
		t.Errorf("a write of the status: %v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestStorageIsProtectedFromItsBeginning(t *testing.T) {
	for finalizer, o := range map[string]apiresource.Object{
		claimProtection: &corev1.PersistentVolumeClaim{}, volumeProtection: &corev1.PersistentVolume{}, attributesClassProtection: &storagev1.VolumeAttributesClass{},
	} {
		a := &admission.Attributes{Operation: admission.Update, Object: o}
		for _, step := range []struct {
			op   admission.Operation
			want []string
		}{{admission.Update, nil}, {admission.Create, []string{finalizer}}, {admission.Create, []string{finalizer}}} {
			a.Operation = step.op
			if err := (admission.Chain{Plugins: []admission.Plugin{storageInUse(nil)}}).Admit(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if got := o.GetFinalizers(); !slices.Equal(got, step.want) {
				t.Errorf("%T after %s: %v, want %v", o, step.op, got, step.want)
			}
		}
	}
}
