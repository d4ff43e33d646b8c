package plugins

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

var storageClasses = schema.GroupResource{Group: storagev1.GroupName, Resource: "storageclasses"}

// The annotations that mark a default class, and that named a claim's class before there was a field.
const (
	defaultClassAnnotation     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultClassAnnotation = "storageclass.beta.kubernetes.io/is-default-class"
)

// The finalizers that keep a storage object until nothing uses it.
const (
	claimProtection           = "kubernetes.io/pvc-protection"
	volumeProtection          = "kubernetes.io/pv-protection"
	attributesClassProtection = "kubernetes.io/vac-protection"
)

// defaultStorageClass gives a claim without a class the default one: of several, the newest.
func defaultStorageClass(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(ctx context.Context, a *admission.Attributes) error {
		claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
		if !ok || !a.Is("", "persistentvolumeclaims", "") {
			return nil
		}
		if _, named := claim.Annotations[corev1.BetaStorageClassAnnotation]; named || claim.Spec.StorageClassName != nil {
			return nil
		}
		all, err := list[*storagev1.StorageClass](ctx, cfg.Access, storageClasses, "")
		if err != nil {
			return admission.Forbidden(a, err)
		}
		var best *storagev1.StorageClass
		for _, c := range all {
			if c.Annotations[defaultClassAnnotation] != "true" && c.Annotations[betaDefaultClassAnnotation] != "true" {
				continue
			}
			if best == nil || newer(c, best) {
				best = c
			}
		}
		if best != nil {
			claim.Spec.StorageClassName = &best.Name
		}
		return nil
	}}
}

// newer orders by time of creation, and by name where that is the same.
func newer(a, b metav1.Object) bool {
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !at.Time.Equal(bt.Time) {
		return at.Time.After(bt.Time)
	}
	return a.GetName() < b.GetName()
}

// storageInUse puts the finalizers on that keep storage until nothing uses it.
func storageInUse(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(_ context.Context, a *admission.Attributes) error {
		if a.Subresource != "" {
			return nil
		}
		protect := func(o metav1.Object, finalizer string) {
			if !slices.Contains(o.GetFinalizers(), finalizer) {
				o.SetFinalizers(append(o.GetFinalizers(), finalizer))
			}
		}
		switch o := a.Object.(type) {
		case *corev1.PersistentVolumeClaim:
			protect(o, claimProtection)
		case *corev1.PersistentVolume:
			protect(o, volumeProtection)
		case *storagev1.VolumeAttributesClass:
			protect(o, attributesClassProtection)
		}
		return nil
	}}
}

// claimResize lets a claim grow only where its class says that its volumes can.
func claimResize(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
		old, wasClaim := a.OldObject.(*corev1.PersistentVolumeClaim)
		if !ok || !wasClaim || a.Subresource != "" {
			return nil
		}
		size, oldSize := claim.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
		if size.Cmp(oldSize) <= 0 {
			return nil
		}
		if old.Status.Phase != corev1.ClaimBound {
			return admission.Forbidden(a, errors.New("Only bound persistent volume claims can be expanded")) //nolint:staticcheck // upstream's words
		}
		if !growable(ctx, cfg, claim, old) {
			return admission.Forbidden(a, errors.New("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
		}
		return nil
	}}
}

func growable(ctx context.Context, cfg *Config, claim, old *corev1.PersistentVolumeClaim) bool {
	name := classOf(claim)
	if name == "" || name != classOf(old) {
		return false
	}
	class, err := find[*storagev1.StorageClass](ctx, cfg.Access, storageClasses, "", name)
	return err == nil && class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion
}

func classOf(c *corev1.PersistentVolumeClaim) string {
	if name, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName
	}
	return ""
}
