package storage

import (
	"context"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	minTokenSeconds     = 10 * 60
	maxTokenSeconds     = 1 << 32
	minAllocatablePause = 10 // seconds
	tokensInContext     = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
)

// CSIDriver declares what drivers of volumes want of the cluster.
func CSIDriver() *resource.Resource {
	return resource.Define(resource.Definition[*storagev1.CSIDriver]{
		Kind:          storagev1.SchemeGroupVersion.WithKind("CSIDriver"),
		Plural:        "csidrivers",
		ClusterScoped: true,
		ReturnDeleted: true,
		StrictUpdate:  true,
		Default:       defaultDriver,
		Prepare: func(_ context.Context, d, old *storagev1.CSIDriver) {
			if old == nil || old.Spec.PreventPodSchedulingIfMissing == nil {
				d.Spec.PreventPodSchedulingIfMissing = nil // is not switched on
			}
			// The generation counts changes from zero, unlike that of other kinds.
			if old != nil && !equality.Semantic.DeepEqual(d.Spec, old.Spec) {
				d.Generation = old.Generation + 1
			}
		},
		Validate: validateDriver,
		Warn: func(_ context.Context, d, old *storagev1.CSIDriver) []string {
			asked := len(d.Spec.TokenRequests) > 0 && d.Spec.ServiceAccountTokenInSecrets == nil
			if asked && (old == nil || !equality.Semantic.DeepEqual(d.Spec.TokenRequests, old.Spec.TokenRequests)) {
				return []string{tokensInContext}
			}
			return nil
		},
		Columns: driverColumns(),
		Row:     driverRow,
	})
}

func defaultDriver(d *storagev1.CSIDriver) {
	s := &d.Spec
	for _, flag := range []struct {
		field **bool
		value bool
	}{
		{&s.AttachRequired, true}, {&s.PodInfoOnMount, false}, {&s.StorageCapacity, false}, {&s.RequiresRepublish, false}, {&s.SELinuxMount, false},
	} {
		if *flag.field == nil {
			*flag.field = new(flag.value)
		}
	}
	if s.FSGroupPolicy == nil {
		s.FSGroupPolicy = new(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	}
	if len(s.VolumeLifecycleModes) == 0 {
		s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
	}
}

func validateDriver(_ context.Context, d, old *storagev1.CSIDriver) field.ErrorList {
	at, s := field.NewPath("spec"), &d.Spec
	faults := validation.OneOfAny(at.Child("fsGroupPolicy"), *s.FSGroupPolicy,
		storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	faults = append(faults, validateTokens(at.Child("tokenRequests"), s.TokenRequests)...)
	for _, mode := range s.VolumeLifecycleModes {
		if mode != storagev1.VolumeLifecyclePersistent && mode != storagev1.VolumeLifecycleEphemeral {
			faults = append(faults, field.NotSupported(at.Child("volumeLifecycleModes"), mode,
				[]storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral}))
		}
	}
	if pause := s.NodeAllocatableUpdatePeriodSeconds; pause != nil && *pause < minAllocatablePause {
		faults = append(faults, field.Invalid(at.Child("nodeAllocatableUpdatePeriodSeconds"), *pause, "must be greater than or equal to 10 seconds"))
	}
	if s.ServiceAccountTokenInSecrets != nil && len(s.TokenRequests) == 0 {
		faults = append(faults, field.Invalid(at.Child("serviceAccountTokenInSecrets"), *s.ServiceAccountTokenInSecrets, "serviceAccountTokenInSecrets is set but no tokenRequests are specified"))
	}
	if old != nil {
		faults = append(faults, validation.Unchanged(at.Child("attachedRequired"), s.AttachRequired, old.Spec.AttachRequired)...)
		faults = append(faults, validation.Unchanged(at.Child("volumeLifecycleModes"), s.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes)...)
	}
	return faults
}

// validateTokens: a driver gets one token for each audience.
func validateTokens(at *field.Path, list []storagev1.TokenRequest) field.ErrorList {
	var faults field.ErrorList
	seen := map[string]bool{}
	for i, t := range list {
		if seen[t.Audience] {
			faults = append(faults, field.Duplicate(at.Index(i).Child("audience"), t.Audience))
			continue
		}
		seen[t.Audience] = true
		switch expiry := at.Index(i).Child("expirationSeconds"); {
		case t.ExpirationSeconds == nil:
		case *t.ExpirationSeconds < minTokenSeconds:
			faults = append(faults, field.Invalid(expiry, *t.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
		case *t.ExpirationSeconds > maxTokenSeconds:
			faults = append(faults, field.Invalid(expiry, *t.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	return faults
}

func driverColumns() []metav1.TableColumnDefinition {
	doc := storagev1.CSIDriverSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Boolean("AttachRequired", doc["attachRequired"]),
		column.Boolean("PodInfoOnMount", doc["podInfoOnMount"]),
		column.Boolean("StorageCapacity", doc["storageCapacity"]),
		column.Text("TokenRequests", doc["tokenRequests"]),
		column.Boolean("RequiresRepublish", doc["requiresRepublish"]),
		column.Text("Modes", doc["volumeLifecycleModes"]),
		column.Age(),
	}
}

func driverRow(d *storagev1.CSIDriver) []any {
	tokens := unset
	if d.Spec.TokenRequests != nil {
		var audiences []string
		for _, t := range d.Spec.TokenRequests {
			audiences = append(audiences, t.Audience)
		}
		tokens = strings.Join(audiences, ",")
	}
	var modes []string
	for _, mode := range d.Spec.VolumeLifecycleModes {
		modes = append(modes, string(mode))
	}
	return []any{
		d.Name, *d.Spec.AttachRequired, *d.Spec.PodInfoOnMount, *d.Spec.StorageCapacity, tokens, *d.Spec.RequiresRepublish,
		column.Joined(modes), column.Since(d.CreationTimestamp),
	}
}
