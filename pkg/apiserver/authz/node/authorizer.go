package node

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// leaseNamespace holds the leases by which nodes show that they live.
const leaseNamespace = "kube-node-lease"

// Authorizer is the Node authorization mode.
type Authorizer struct {
	graph *Graph
	rules []rbacv1.PolicyRule
}

// New makes the mode from the relationships of nodes and the rules that hold for every node alike.
func New(g *Graph, rules []rbacv1.PolicyRule) *Authorizer {
	return &Authorizer{graph: g, rules: rules}
}

// verdict is a reason to refuse, or "" with allowed set.
type verdict struct {
	allowed bool
	reason  string
}

var allowed = verdict{allowed: true}

func refused(format string, args ...any) verdict {
	return verdict{reason: fmt.Sprintf(format, args...)}
}

// Authorize implements authz.Authorizer. It never denies: RBAC may still give a node more.
func (a *Authorizer) Authorize(_ context.Context, user *request.User, info *request.Info) (authz.Decision, string, error) {
	node, isNode := Identity(user)
	if !isNode {
		return authz.NoOpinion, "", nil
	}
	if node == "" {
		return authz.NoOpinion, fmt.Sprintf("unknown node for user %q", user.Name), nil
	}
	v := a.judge(node, info)
	if v.allowed {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, v.reason, nil
}

// RulesFor implements authz.RuleResolver: what a node may do cannot be listed.
func (a *Authorizer) RulesFor(_ context.Context, user *request.User, _ string) authz.Rules {
	if _, isNode := Identity(user); !isNode {
		return authz.Rules{}
	}
	return authz.Rules{Incomplete: true, Errors: []string{"node authorizer does not support user rule resolution"}}
}

func (a *Authorizer) judge(node string, info *request.Info) verdict {
	if info.IsResource {
		switch r := (schema.GroupResource{Group: info.Group, Resource: info.Resource}); r {
		case secrets, configMaps:
			return a.readNamespaced(node, r, info)
		case claims:
			if info.Subresource == "status" {
				return a.updateStatus(node, r, info)
			}
			return a.get(node, r, info)
		case volumes, deviceClaims, attachments:
			return a.get(node, r, info)
		case serviceAccount:
			return a.serviceAccount(node, info)
		case leases:
			return lease(node, info)
		case csiNodes:
			return csiNode(node, info)
		case deviceSlices:
			return a.resourceSlice(node, info)
		case nodes:
			return ownNode(node, info)
		case pods:
			return a.pod(node, info)
		}
	}
	if rbac.Allows(info, a.rules) {
		return allowed
	}
	return verdict{}
}

func (a *Authorizer) related(node string, r schema.GroupResource, info *request.Info) verdict {
	if info.Name == "" {
		return refused("No Object name found")
	}
	if !a.graph.Related(node, r, info.Namespace, info.Name) {
		return refused("no relationship found between node '%s' and this object", node)
	}
	return allowed
}

func (a *Authorizer) readNamespaced(node string, r schema.GroupResource, info *request.Info) verdict {
	switch {
	case !slices.Contains([]string{"get", "list", "watch"}, info.Verb):
		return refused("can only read resources of this type")
	case info.Subresource != "":
		return refused("cannot read subresource")
	case info.Namespace == "":
		return refused("can only read namespaced object of this type")
	}
	return a.related(node, r, info)
}

func (a *Authorizer) get(node string, r schema.GroupResource, info *request.Info) verdict {
	switch {
	case info.Verb != "get":
		return refused("can only get individual resources of this type")
	case info.Subresource != "":
		return refused("cannot get subresource")
	}
	return a.related(node, r, info)
}

func (a *Authorizer) updateStatus(node string, r schema.GroupResource, info *request.Info) verdict {
	if info.Verb != "update" && info.Verb != "patch" {
		return refused("can only get/update/patch this type")
	}
	return a.related(node, r, info)
}

func (a *Authorizer) serviceAccount(node string, info *request.Info) verdict {
	switch {
	case info.Verb == "get" && info.Subresource == "":
		return a.readNamespaced(node, serviceAccount, info)
	case info.Verb != "create" || info.Name == "":
		return refused("can only create tokens for individual service accounts")
	case info.Subresource != "token":
		return refused("can only create token subresource of serviceaccount")
	}
	return a.related(node, serviceAccount, info)
}

var ownVerbs = []string{"get", "create", "update", "patch", "delete"}

// lease cannot know the name of what is created; NodeRestriction checks it.
func lease(node string, info *request.Info) verdict {
	switch {
	case !slices.Contains(ownVerbs, info.Verb):
		return refused("can only get, create, update, patch, or delete a node lease")
	case info.Namespace != leaseNamespace:
		return refused("can only access leases in the %q system namespace", leaseNamespace)
	case info.Verb != "create" && info.Name != node:
		return refused("can only access node lease with the same name as the requesting node")
	}
	return allowed
}

func csiNode(node string, info *request.Info) verdict {
	switch {
	case !slices.Contains(ownVerbs, info.Verb):
		return refused("can only get, create, update, patch, or delete a CSINode")
	case info.Subresource != "":
		return refused("cannot authorize CSINode subresources")
	case info.Verb != "create" && info.Name != node:
		return refused("can only access CSINode with the same name as the requesting node")
	}
	return allowed
}

func (a *Authorizer) resourceSlice(node string, info *request.Info) verdict {
	if info.Subresource != "" {
		return refused("cannot authorize ResourceSlice subresources")
	}
	switch info.Verb {
	case "create":
		return allowed // NodeRestriction looks at the object
	case "get", "update", "patch", "delete":
		return a.related(node, deviceSlices, info)
	case "watch", "list", "deletecollection":
		if selects(info, resourcev1.ResourceSliceSelectorNodeName, node) {
			return allowed
		}
		return refused("can only list/watch/deletecollection resourceslices with nodeName field selector")
	}
	return refused("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection")
}

// ownNode compares names and not relationships: a kubelet asks for its node before it exists.
func ownNode(node string, info *request.Info) verdict {
	switch info.Subresource {
	case "":
		switch info.Verb {
		case "create", "update", "patch":
			return allowed // NodeRestriction holds a node to its own object
		case "get", "list", "watch":
			switch info.Name {
			case node:
				return allowed
			case "":
				return refused("node '%s' cannot read all nodes, only its own Node object", node)
			}
			return refused("node '%s' cannot read '%s', only its own Node object", node, info.Name)
		}
	case "status":
		if info.Verb == "update" || info.Verb == "patch" {
			return allowed
		}
	}
	return verdict{}
}

// pod allows the writes that NodeRestriction then holds to the node's own pods.
func (a *Authorizer) pod(node string, info *request.Info) verdict {
	switch info.Subresource {
	case "":
		switch info.Verb {
		case "get":
			return a.get(node, pods, info)
		case "list", "watch":
			if selects(info, "spec.nodeName", node) {
				return allowed
			}
			if info.Name != "" {
				return a.related(node, pods, info)
			}
			return refused("can only list/watch pods with spec.nodeName field selector")
		case "create", "delete":
			return allowed
		}
	case "status":
		if info.Verb == "update" || info.Verb == "patch" {
			return allowed
		}
	case "eviction":
		if info.Verb == "create" {
			return allowed
		}
	}
	return verdict{}
}

// selects says whether the field selector admits only objects whose field has the value.
func selects(info *request.Info, field, value string) bool {
	if info.FieldSelector == "" {
		return false
	}
	s, err := fields.ParseSelector(info.FieldSelector)
	if err != nil {
		return false
	}
	for _, r := range s.Requirements() {
		if r.Field == field && r.Value == value && (r.Operator == selection.Equals || r.Operator == selection.DoubleEquals) {
			return true
		}
	}
	return false
}
