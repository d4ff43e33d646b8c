package devices

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// nodeOfToken is the claim of service account tokens that names the node of the pod that they are bound to.
const nodeOfToken = "authentication.kubernetes.io/node-name"

// adminMayAsk lets claims reach into devices that others use only in namespaces that are marked for it.
func adminMayAsk(ctx context.Context, access resource.Reader, namespace string, list []resourcev1.DeviceRequest) field.ErrorList {
	for i, r := range list {
		if r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess {
			return markedForAdmins(ctx, access, namespace, field.NewPath("spec", "devices", "requests").Index(i).Child("adminAccess"))
		}
	}
	return nil
}

// adminMayBeGiven is the same rule, for who gives a claim its devices.
func adminMayBeGiven(ctx context.Context, access resource.Reader, c, old *resourcev1.ResourceClaim) field.ErrorList {
	if adminResult(old) >= 0 {
		return nil
	}
	if i := adminResult(c); i >= 0 {
		return markedForAdmins(ctx, access, c.Namespace, field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess"))
	}
	return nil
}

// adminResult finds the first device that was given for administration, -1 where there is none.
func adminResult(c *resourcev1.ResourceClaim) int {
	if c.Status.Allocation != nil {
		for i, r := range c.Status.Allocation.Devices.Results {
			if r.AdminAccess != nil && *r.AdminAccess {
				return i
			}
		}
	}
	return -1
}

func markedForAdmins(ctx context.Context, access resource.Reader, namespace string, at *field.Path) field.ErrorList {
	ns, err := access.Get(ctx, schema.GroupResource{Resource: "namespaces"}, "", namespace)
	if err != nil {
		return field.ErrorList{field.InternalError(at, fmt.Errorf("could not retrieve namespace to verify admin access: %w", err))}
	}
	if ns.GetLabels()[resourcev1.DRAAdminNamespaceLabelKey] != "true" {
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf("admin access to devices requires the `%s: true` label on the containing namespace", resourcev1.DRAAdminNamespaceLabelKey))}
	}
	return nil
}

// mayWriteStatus asks for the rights that parts of a status need beside that on the status itself: to bind a
// claim, and to speak for a driver. What the server writes itself needs none.
func mayWriteStatus(ctx context.Context, a authz.Authorizer, c, old *resourcev1.ResourceClaim) field.ErrorList {
	user, info := request.UserFrom(ctx), request.InfoFrom(ctx)
	if user == nil || info == nil {
		return nil
	}
	at := field.NewPath("status")
	var faults field.ErrorList
	may := func(verb, subresource, namespace, name string) error {
		asked := &request.Info{IsResource: true, Path: info.Path, Verb: verb, Group: info.Group, Version: info.Version,
			Resource: info.Resource, Subresource: subresource, Namespace: namespace, Name: name}
		decision, reason, err := a.Authorize(ctx, user, asked)
		switch {
		case decision == authz.Allow:
			return nil
		case err != nil && reason != "":
			reason = fmt.Sprintf("%v: %s", err, reason)
		case err != nil:
			reason = err.Error()
		}
		return authz.Forbidden(user, asked, reason)
	}
	if !equality.Semantic.DeepEqual(c.Status.Allocation, old.Status.Allocation) || !equality.Semantic.DeepEqual(c.Status.ReservedFor, old.Status.ReservedFor) {
		if err := may(info.Verb, resourcev1.SubresourceBinding, "", ""); err != nil {
			faults = append(faults, field.Forbidden(at, fmt.Sprintf(`changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="%s" permission: %s`, info.Verb, err)))
		}
	}
	verbs := []string{resourcev1.VerbPrefixArbitraryNode + info.Verb}
	if onItsNode(user, nodeOf(c.Status.Allocation)) {
		verbs = append([]string{resourcev1.VerbPrefixAssociatedNode + info.Verb}, verbs...)
	}
	for _, driver := range sets.List(changedDrivers(&c.Status, &old.Status)) {
		var refusal error
		for _, verb := range verbs {
			err := may(verb, resourcev1.SubresourceDriver, info.Namespace, driver)
			if err == nil {
				refusal = nil
				break
			}
			if refusal == nil {
				refusal = err
			}
		}
		if refusal != nil {
			faults = append(faults, field.Forbidden(at.Child("devices"), fmt.Sprintf(`changing status.devices requires resource="resourceclaims/driver", verb="%s" permission: %s`, verbs, refusal)))
		}
	}
	return faults
}

// changedDrivers are those of which something else is told than before.
func changedDrivers(now, was *resourcev1.ResourceClaimStatus) sets.Set[string] {
	before := map[share]resourcev1.AllocatedDeviceStatus{}
	for _, d := range was.Devices {
		before[statusShare(d)] = d
	}
	changed := sets.New[string]()
	for _, d := range now.Devices {
		old, there := before[statusShare(d)]
		if !there || !equality.Semantic.DeepEqual(d, old) {
			changed.Insert(d.Driver)
		}
		delete(before, statusShare(d))
	}
	for gone := range before {
		changed.Insert(gone.Driver)
	}
	return changed
}

// nodeOf is the one node that a claim's devices are on, empty where there is no one node.
func nodeOf(a *resourcev1.AllocationResult) string {
	if a == nil || a.NodeSelector == nil || len(a.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	term := a.NodeSelector.NodeSelectorTerms[0]
	if len(term.MatchExpressions) > 0 || len(term.MatchFields) != 1 {
		return ""
	}
	f := term.MatchFields[0]
	if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn || len(f.Values) != 1 {
		return ""
	}
	return f.Values[0]
}

// onItsNode says whether the asker is a service account whose pod runs on the node.
func onItsNode(user *request.User, node string) bool {
	nodes := user.Extra[nodeOfToken]
	return node != "" && strings.HasPrefix(user.Name, "system:serviceaccount:") && len(nodes) == 1 && nodes[0] == node
}
