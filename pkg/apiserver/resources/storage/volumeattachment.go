package storage

import (
	"context"
	"math"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

const (
	maxAttachmentMetadata = 256 << 10
	maxVolumeError        = 1024
	oneSource             = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
)

// VolumeAttachment declares the wish that a volume be attached to a node, and what came of it.
func VolumeAttachment() *resource.Resource {
	return resource.Define(resource.Definition[*storagev1.VolumeAttachment]{
		Kind:          storagev1.SchemeGroupVersion.WithKind("VolumeAttachment"),
		Plural:        "volumeattachments",
		ClusterScoped: true,
		ReturnDeleted: true,
		StrictUpdate:  true,
		Default: func(a *storagev1.VolumeAttachment) {
			if a.Spec.Source.InlineVolumeSpec != nil {
				defaults.InlineVolume(a.Spec.Source.InlineVolumeSpec)
			}
		},
		Prepare:  resource.KeepStatus(func(a *storagev1.VolumeAttachment) *storagev1.VolumeAttachmentStatus { return &a.Status }),
		Validate: validateAttachment,
		Reset:    []string{"status"},
		Columns:  attachmentColumns(),
		Row: func(a *storagev1.VolumeAttachment) []any {
			volume := ""
			if name := a.Spec.Source.PersistentVolumeName; name != nil {
				volume = *name
			}
			return []any{a.Name, a.Spec.Attacher, volume, a.Spec.NodeName, a.Status.Attached, column.Since(a.CreationTimestamp)}
		},
		Subresources: []resource.Subresource[*storagev1.VolumeAttachment]{resource.Status(storagev1.SchemeGroupVersion.WithKind("VolumeAttachment"), resource.UpdatePart[*storagev1.VolumeAttachment]{
			Prepare: func(_ context.Context, a, old *storagev1.VolumeAttachment) {
				a.Spec = *old.Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(a, old)
			},
			Validate: validateAttachment,
			Reset:    []string{"metadata", "spec"},
		})},
	})
}

func attachmentColumns() []metav1.TableColumnDefinition {
	spec := storagev1.VolumeAttachmentSpec{}.SwaggerDoc()
	attacher := column.Text("Attacher", spec["attacher"])
	attacher.Format = "name"
	return []metav1.TableColumnDefinition{
		column.Name(),
		attacher,
		column.Text("PV", storagev1.VolumeAttachmentSource{}.SwaggerDoc()["persistentVolumeName"]),
		column.Text("Node", spec["nodeName"]),
		column.Boolean("Attached", storagev1.VolumeAttachmentStatus{}.SwaggerDoc()["attached"]),
		column.Age(),
	}
}

func validateAttachment(_ context.Context, a, old *storagev1.VolumeAttachment) field.ErrorList {
	spec, status := field.NewPath("spec"), field.NewPath("status")
	faults := validation.CSIDriverName(spec.Child("attacher"), a.Spec.Attacher)
	faults = append(faults, validateAttached(spec.Child("source"), &a.Spec.Source)...)
	faults = append(faults, validation.DNSSubdomain(spec.Child("nodeName"), a.Spec.NodeName)...)
	faults = append(faults, validateAttachmentMetadata(status.Child("attachmentMetadata"), a.Status.AttachmentMetadata)...)
	faults = append(faults, validateVolumeError(status.Child("attachError"), a.Status.AttachError)...)
	faults = append(faults, validateVolumeError(status.Child("detachError"), a.Status.DetachError)...)
	faults = append(faults, validation.WhereSet(spec.Child("source", "persistentVolumeName"), a.Spec.Source.PersistentVolumeName, validation.DNSSubdomain)...)
	if old != nil && !equality.Semantic.DeepEqual(a.Spec, old.Spec) {
		faults = append(faults, field.Invalid(spec, validation.GoNames(a.Spec), validation.Immutable))
	}
	return faults
}

func validateAttached(at *field.Path, s *storagev1.VolumeAttachmentSource) field.ErrorList {
	switch {
	case s.InlineVolumeSpec == nil && s.PersistentVolumeName == nil:
		return field.ErrorList{field.Required(at, oneSource)}
	case s.InlineVolumeSpec != nil && s.PersistentVolumeName != nil:
		return field.ErrorList{field.Forbidden(at, oneSource)}
	case s.InlineVolumeSpec != nil:
		return validation.InlineVolumeSpec(at.Child("inlineVolumeSpec"), s.InlineVolumeSpec)
	case *s.PersistentVolumeName == "":
		return field.ErrorList{field.Required(at.Child("persistentVolumeName"), "must specify non empty persistentVolumeName")}
	}
	return nil
}

func validateAttachmentMetadata(at *field.Path, metadata map[string]string) field.ErrorList {
	size := 0
	for key, value := range metadata {
		size += len(key) + len(value)
	}
	if size > maxAttachmentMetadata {
		return field.ErrorList{field.TooLong(at, "", maxAttachmentMetadata)}
	}
	return nil
}

func validateVolumeError(at *field.Path, e *storagev1.VolumeError) field.ErrorList {
	if e == nil {
		return nil
	}
	var faults field.ErrorList
	if len(e.Message) > maxVolumeError {
		// As upstream, which names the bound of the metadata.
		faults = append(faults, field.TooLong(at.Child("message"), "", maxAttachmentMetadata))
	}
	if e.ErrorCode != nil && *e.ErrorCode < 0 {
		faults = append(faults, field.Invalid(at.Child("errorCode"), *e.ErrorCode, utilvalidation.InclusiveRangeError(0, math.MaxInt32)))
	}
	return faults
}
