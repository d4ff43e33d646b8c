package devices

import (
	"context"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// ResourceClaim declares claims to devices. What a claim asks for never changes; its status says which devices
// it was given, who uses them, and what their drivers tell of them. access finds namespaces; a says who may
// write which part of the status. Both are used only to answer.
func ResourceClaim(access resource.Reader, a authz.Authorizer) *resource.Resource {
	return resource.Define(resource.Definition[*resourcev1.ResourceClaim]{
		Kind:          resourcev1.SchemeGroupVersion.WithKind("ResourceClaim"),
		Plural:        "resourceclaims",
		ReturnDeleted: true,
		Default: func(c *resourcev1.ResourceClaim) {
			defaultClaimSpec(&c.Spec)
			if c.Status.Allocation != nil {
				for i := range c.Status.Allocation.Devices.Results {
					defaultTolerations(c.Status.Allocation.Devices.Results[i].Tolerations)
				}
			}
		},
		Prepare: func(_ context.Context, c, old *resourcev1.ResourceClaim) {
			c.Status = resourcev1.ResourceClaimStatus{}
			if old != nil {
				c.Status = *old.Status.DeepCopy()
			}
			asStored(&c.Spec)
		},
		Validate: func(ctx context.Context, c, old *resourcev1.ResourceClaim) field.ErrorList {
			at := field.NewPath("spec")
			if old != nil {
				return validation.Unchanged(at, c.Spec, old.Spec)
			}
			return append(adminMayAsk(ctx, access, c.Namespace, c.Spec.Devices.Requests), validateClaimSpec(at, &c.Spec)...)
		},
		Reset: []string{"status"},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("State", "A summary of the current state (allocated, pending, reserved, etc.)."),
			column.Age(),
		},
		Row: func(c *resourcev1.ResourceClaim) []any {
			return []any{c.Name, claimState(c), column.Since(c.CreationTimestamp)}
		},
		Subresources: []resource.Subresource[*resourcev1.ResourceClaim]{resource.Status(resourcev1.SchemeGroupVersion.WithKind("ResourceClaim"), resource.UpdatePart[*resourcev1.ResourceClaim]{
			Prepare: func(_ context.Context, c, old *resourcev1.ResourceClaim) {
				c.Spec = *old.Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(c, old)
				forgetGivenBack(&c.Status, &old.Status)
			},
			Validate: func(ctx context.Context, c, old *resourcev1.ResourceClaim) field.ErrorList {
				faults := adminMayBeGiven(ctx, access, c, old)
				faults = append(faults, mayWriteStatus(ctx, a, c, old)...)
				return append(faults, validateClaimStatus(c, old)...)
			},
			Reset: []string{"metadata", "spec"},
		})},
	})
}

// asStored leaves out an empty list, which the stored form does not know.
func asStored(s *resourcev1.ResourceClaimSpec) {
	if len(s.Devices.Requests) == 0 {
		s.Devices.Requests = nil
	}
}

func claimState(c *resourcev1.ResourceClaim) string {
	var states []string
	if c.DeletionTimestamp != nil {
		states = append(states, "deleted")
	}
	switch {
	case c.Status.Allocation != nil:
		states = append(states, "allocated")
		if len(c.Status.ReservedFor) > 0 {
			states = append(states, "reserved")
		}
	case c.DeletionTimestamp == nil:
		states = append(states, "pending")
	}
	return strings.Join(states, ",")
}
