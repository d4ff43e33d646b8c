package expression

import (
	"context"
	"errors"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/library"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Resource is what the variable authorizer.requestResource asks about.
type Resource struct {
	GVR                          schema.GroupVersionResource
	Subresource, Namespace, Name string
}

// GetResource, GetSubresource, GetNamespace and GetName answer the library.
func (r Resource) GetResource() schema.GroupVersionResource { return r.GVR }

// GetSubresource answers the library.
func (r Resource) GetSubresource() string { return r.Subresource }

// GetNamespace answers the library.
func (r Resource) GetNamespace() string { return r.Namespace }

// GetName answers the library.
func (r Resource) GetName() string { return r.Name }

// Authorizers gives the two variables by which expressions ask what a user may.
func Authorizers(a authz.Authorizer, user *request.User, r Resource) (authorizer, resource ref.Val) {
	if a == nil || user == nil {
		return nil, nil
	}
	return newAuthorizer(library.NewAuthorizerVal, a, user), newResourceAuthorizer(library.NewResourceAuthorizerVal, a, user, r)
}

// The library names the types of questions and answers in packages that this project does not use: they are
// taken from its functions' signatures. D is a decision, A a question, U who is asked about, Z the authorizer.
func newAuthorizer[U userInfo, D ~int, A attributes[U], Z interface {
	Authorize(context.Context, A) (D, string, error)
}](make func(U, Z) ref.Val, a authz.Authorizer, user *request.User) ref.Val {
	return make(any(subject{user}).(U), any(&asker[U, D, A]{a: a}).(Z))
}

func newResourceAuthorizer[U userInfo, D ~int, A attributes[U], Z interface {
	Authorize(context.Context, A) (D, string, error)
}, R any](make func(U, Z, R) ref.Val, a authz.Authorizer, user *request.User, r Resource) ref.Val {
	return make(any(subject{user}).(U), any(&asker[U, D, A]{a: a}).(Z), any(r).(R))
}

type userInfo interface {
	GetName() string
	GetUID() string
	GetGroups() []string
	GetExtra() map[string][]string
}

type attributes[U userInfo] interface {
	GetUser() U
	GetVerb() string
	GetNamespace() string
	GetResource() string
	GetSubresource() string
	GetName() string
	GetAPIGroup() string
	GetAPIVersion() string
	IsResourceRequest() bool
	GetPath() string
	GetFieldSelector() (fields.Requirements, error)
	GetLabelSelector() (labels.Requirements, error)
}

// subject is a user in the library's terms.
type subject struct{ user *request.User }

func (s subject) GetName() string               { return s.user.Name }
func (s subject) GetUID() string                { return s.user.UID }
func (s subject) GetGroups() []string           { return s.user.Groups }
func (s subject) GetExtra() map[string][]string { return s.user.Extra }

// asker asks this server's authorizer.
type asker[U userInfo, D ~int, A attributes[U]] struct{ a authz.Authorizer }

// Authorize answers the library: its decisions are 0 for no, 1 for yes and 2 for no opinion.
func (k *asker[U, D, A]) Authorize(ctx context.Context, a A) (D, string, error) {
	u := a.GetUser()
	info := &request.Info{
		IsResource: a.IsResourceRequest(), Path: a.GetPath(), Verb: a.GetVerb(), Group: a.GetAPIGroup(), Version: a.GetAPIVersion(),
		Resource: a.GetResource(), Subresource: a.GetSubresource(), Namespace: a.GetNamespace(), Name: a.GetName(),
	}
	if r, err := a.GetFieldSelector(); err == nil && len(r) > 0 {
		info.FieldSelector = fieldsOf(r)
	}
	if r, err := a.GetLabelSelector(); err == nil && len(r) > 0 {
		info.LabelSelector = labels.NewSelector().Add(r...).String()
	}
	decision, reason, err := k.a.Authorize(ctx, &request.User{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}, info)
	switch decision {
	case authz.Allow:
		return 1, reason, nil
	case authz.Deny:
		return 0, reason, err
	}
	if err != nil && errors.Is(err, context.Canceled) {
		return 0, reason, err
	}
	return 2, reason, err
}

func fieldsOf(r fields.Requirements) string {
	var all []fields.Selector
	for _, q := range r {
		if q.Operator == "!=" {
			all = append(all, fields.OneTermNotEqualSelector(q.Field, q.Value))
			continue
		}
		all = append(all, fields.OneTermEqualSelector(q.Field, q.Value))
	}
	return fields.AndSelectors(all...).String()
}
