package quota

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
)

// classSuffix parts a storage class from what is limited of it: "gold.storageclass.storage.k8s.io/requests.storage".
const classSuffix = ".storageclass.storage.k8s.io/"

// claims counts claims of volumes and the storage that they ask for, together and for each storage class.
func claims() Counter {
	r := schema.GroupResource{Resource: "persistentvolumeclaims"}
	return Counter{
		Resource: r,
		Charged: func(w Write) bool {
			if w.Subresource != "status" {
				return w.Subresource == ""
			}
			now, is := w.Object.(*corev1.PersistentVolumeClaim)
			was, had := w.Old.(*corev1.PersistentVolumeClaim)
			return is && had && ClaimUseMayChange(now, was)
		},
		Counts: func(name corev1.ResourceName) bool {
			_, of, byClass := strings.Cut(string(name), classSuffix)
			if byClass {
				name = corev1.ResourceName(of)
			}
			return name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage || !byClass && name == CountName(r)
		},
		Use: func(obj runtime.Object, _ time.Time) corev1.ResourceList {
			claim, is := obj.(*corev1.PersistentVolumeClaim)
			if !is {
				return nil
			}
			use := corev1.ResourceList{CountName(r): decimal(1)}
			charge := func(name corev1.ResourceName, q resource.Quantity) {
				use[name] = q
				if class := storageClass(claim); class != "" {
					use[corev1.ResourceName(class+classSuffix)+name] = q
				}
			}
			charge(corev1.ResourcePersistentVolumeClaims, decimal(1))
			if q, asked := storage(claim); asked {
				charge(corev1.ResourceRequestsStorage, q)
			}
			return use
		},
		InScope: func(s corev1.ScopedResourceSelectorRequirement, obj runtime.Object) (bool, error) {
			claim, is := obj.(*corev1.PersistentVolumeClaim)
			if !is || s.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass {
				return false, nil
			}
			return claimInScope(s, claim)
		},
	}
}

// ClaimUseMayChange says whether a change of a claim may be one of what it uses, or of the scopes that it is in.
func ClaimUseMayChange(now, was *corev1.PersistentVolumeClaim) bool {
	grown, before := now.Status.AllocatedResources[corev1.ResourceStorage], was.Status.AllocatedResources[corev1.ResourceStorage]
	asked, asking := now.Spec.Resources.Requests[corev1.ResourceStorage], was.Spec.Resources.Requests[corev1.ResourceStorage]
	return grown.Cmp(before) != 0 || asked.Cmp(asking) != 0 || !attributesClasses(now).Equal(attributesClasses(was))
}

func storageClass(c *corev1.PersistentVolumeClaim) string {
	if class, annotated := c.Annotations[corev1.BetaStorageClassAnnotation]; annotated {
		return class
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName
	}
	return ""
}

// storage is what a claim asks for, or still holds where it asks for less, in whole bytes.
func storage(c *corev1.PersistentVolumeClaim) (resource.Quantity, bool) {
	q, asked := c.Spec.Resources.Requests[corev1.ResourceStorage]
	if !asked {
		return q, false
	}
	if held, is := c.Status.AllocatedResources[corev1.ResourceStorage]; is && held.Cmp(q) > 0 {
		q = held
	}
	q = q.DeepCopy()
	q.RoundUp(0)
	return q, true
}

func claimInScope(s corev1.ScopedResourceSelectorRequirement, c *corev1.PersistentVolumeClaim) (bool, error) {
	classes := attributesClasses(c)
	if len(classes) == 0 {
		return selects(s, "")
	}
	for class := range classes {
		if in, err := selects(s, class); in || err != nil {
			return in, err
		}
	}
	return false, nil
}

// attributesClasses are those that a claim has, asks for, and is on its way to.
func attributesClasses(c *corev1.PersistentVolumeClaim) sets.Set[string] {
	names := sets.New[string]()
	for _, name := range []*string{c.Spec.VolumeAttributesClassName, c.Status.CurrentVolumeAttributesClassName} {
		if name != nil {
			names.Insert(*name)
		}
	}
	if m := c.Status.ModifyVolumeStatus; m != nil {
		names.Insert(m.TargetVolumeAttributesClassName)
	}
	return names.Delete("")
}
