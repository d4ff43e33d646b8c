// Package apiextensions declares the resources of the group apiextensions.k8s.io: the definitions of custom ones.
package apiextensions

import (
	"context"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Definitions names the resource.
var Definitions = schema.GroupResource{Group: apiextensionsv1.GroupName, Resource: "customresourcedefinitions"}

// CustomResourceDefinition declares customresourcedefinitions.
func CustomResourceDefinition(c clock.PassiveClock) *resource.Resource {
	kind := apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition")
	return resource.Define(resource.Definition[*apiextensionsv1.CustomResourceDefinition]{
		Kind:           kind,
		Plural:         Definitions.Resource,
		Singular:       "customresourcedefinition",
		ShortNames:     []string{"crd", "crds"},
		Categories:     []string{"api-extensions"},
		ClusterScoped:  true,
		Prefix:         "apiextensions.k8s.io/customresourcedefinitions",
		Large:          true,
		StoredVersion:  "v1beta1",
		Stored:         &resource.Stored[*apiextensionsv1.CustomResourceDefinition]{Encode: encode, Decode: decode},
		StrictUpdate:   true,
		FreeFinalizers: true,
		Default:        setDefaults,
		Prepare: func(_ context.Context, obj, old *apiextensionsv1.CustomResourceDefinition) {
			obj.Status = apiextensionsv1.CustomResourceDefinitionStatus{}
			if old != nil {
				old.Status.DeepCopyInto(&obj.Status)
			}
			noteStored(obj)
		},
		Validate:     validate,
		Warn:         warn,
		Spec:         func(obj *apiextensionsv1.CustomResourceDefinition) any { return obj.Spec },
		Reset:        []string{"status"},
		BeforeDelete: beginDeletion(c),
		Subresources: []resource.Subresource[*apiextensionsv1.CustomResourceDefinition]{resource.Status(kind, resource.UpdatePart[*apiextensionsv1.CustomResourceDefinition]{
			Prepare: func(_ context.Context, obj, old *apiextensionsv1.CustomResourceDefinition) {
				old.Spec.DeepCopyInto(&obj.Spec)
			},
			Validate: validateStatus,
			// Who cleans up takes the finalizer away beside the condition.
			Deletes: func(*apiextensionsv1.CustomResourceDefinition) bool { return true },
		})},
	})
}

func setDefaults(obj *apiextensionsv1.CustomResourceDefinition) {
	names := &obj.Spec.Names
	if names.Singular == "" {
		names.Singular = strings.ToLower(names.Kind)
	}
	if names.ListKind == "" && names.Kind != "" {
		names.ListKind = names.Kind + "List"
	}
	if obj.Spec.Conversion == nil {
		obj.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter}
	}
	if w := obj.Spec.Conversion.Webhook; w != nil && w.ClientConfig == nil && w.ConversionReviewVersions == nil {
		obj.Spec.Conversion.Webhook = nil // upstream keeps only what is in it
	}
	if w := obj.Spec.Conversion.Webhook; w != nil && w.ClientConfig != nil && w.ClientConfig.Service != nil && w.ClientConfig.Service.Port == nil {
		w.ClientConfig.Service.Port = new(int32(443))
	}
	if len(obj.Status.StoredVersions) == 0 {
		noteStored(obj)
	}
}

// noteStored adds the version in which objects are stored from now on to those that may be in etcd.
func noteStored(obj *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range obj.Spec.Versions {
		if v.Storage {
			if !slices.Contains(obj.Status.StoredVersions, v.Name) {
				obj.Status.StoredVersions = append(obj.Status.StoredVersions, v.Name)
			}
			return
		}
	}
}

// beginDeletion keeps a definition until its objects are gone.
func beginDeletion(c clock.PassiveClock) func(context.Context, *apiextensionsv1.CustomResourceDefinition) (bool, error) {
	return func(_ context.Context, obj *apiextensionsv1.CustomResourceDefinition) (bool, error) {
		if obj.DeletionTimestamp != nil {
			return true, nil
		}
		now := metav1.NewTime(c.Now()).Rfc3339Copy()
		obj.DeletionTimestamp = &now
		if !slices.Contains(obj.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
			obj.Finalizers = append(obj.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer)
		}
		SetCondition(obj, now, apiextensionsv1.CustomResourceDefinitionCondition{
			Type: apiextensionsv1.Terminating, Status: apiextensionsv1.ConditionTrue, Reason: "InstanceDeletionPending",
			Message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
		})
		return false, nil
	}
}

// SetCondition sets a condition. Its time is that of the last change of its status.
func SetCondition(obj *apiextensionsv1.CustomResourceDefinition, now metav1.Time, c apiextensionsv1.CustomResourceDefinitionCondition) {
	c.LastTransitionTime = now
	old := Condition(obj, c.Type)
	if old == nil {
		obj.Status.Conditions = append(obj.Status.Conditions, c)
		return
	}
	if old.Status == c.Status && !old.LastTransitionTime.IsZero() {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
}

// Condition finds a condition, nil where there is none.
func Condition(obj *apiextensionsv1.CustomResourceDefinition, of apiextensionsv1.CustomResourceDefinitionConditionType) *apiextensionsv1.CustomResourceDefinitionCondition {
	for i := range obj.Status.Conditions {
		if obj.Status.Conditions[i].Type == of {
			return &obj.Status.Conditions[i]
		}
	}
	return nil
}

// IsTrue says whether a condition holds.
func IsTrue(obj *apiextensionsv1.CustomResourceDefinition, of apiextensionsv1.CustomResourceDefinitionConditionType) bool {
	c := Condition(obj, of)
	return c != nil && c.Status == apiextensionsv1.ConditionTrue
}
