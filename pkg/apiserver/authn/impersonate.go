package authn

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

const (
	nodeUserPrefix           = "system:node:"
	serviceAccountUserPrefix = "system:serviceaccount:"
	// nodeNameExtra is the extra key of a service account's token that names the node it is bound to.
	nodeNameExtra = "authentication.kubernetes.io/node-name"
)

// Impersonate answers whom a request acts as: nil where it does not ask to act as another. The headers
// that ask are taken out. An error is the status for the client.
//
// There are four constrained ways to act as another, each of which allows it for certain requests only
// (verbs impersonate-on:WAY:VERB and impersonate:WAY), and the old one that allows it for all of them (verb
// impersonate). They are tried in that order; when all fail, the first refusal is what the client reads.
// See KEP-5284.
func Impersonate(r *http.Request, a authz.Authorizer, asker *request.User, info *request.Info) (*request.User, error) {
	wanted, err := wantedUser(r.Header)
	if wanted == nil || err != nil {
		return nil, err
	}
	i := impersonation{ctx: r.Context(), authorizer: a, asker: asker, wanted: wanted}
	var firstErr error
	for _, way := range ways {
		if way.applies != nil && !way.applies(wanted, asker) {
			continue
		}
		user, err := i.try(way.name, info)
		if err == nil {
			return user, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, firstErr
}

// way is one way to act as another. The one without a name is the old one.
type way struct {
	name    string
	applies func(wanted, asker *request.User) bool
}

var ways = []way{
	{"associated-node", func(wanted, asker *request.User) bool {
		node, ok := nodeOf(wanted.Name)
		_, _, isSA := serviceAccountOf(asker.Name)
		on := asker.Extra[nodeNameExtra]
		return ok && isSA && onlyNamed(wanted) && len(on) == 1 && on[0] == node
	}},
	{"arbitrary-node", func(wanted, _ *request.User) bool {
		_, ok := nodeOf(wanted.Name)
		return ok && onlyNamed(wanted)
	}},
	{"serviceaccount", func(wanted, _ *request.User) bool {
		_, _, ok := serviceAccountOf(wanted.Name)
		return ok && onlyNamed(wanted)
	}},
	{"user-info", func(wanted, _ *request.User) bool {
		_, isNode := nodeOf(wanted.Name)
		_, _, isSA := serviceAccountOf(wanted.Name)
		return !isNode && !isSA
	}},
	{"", nil},
}

func onlyNamed(u *request.User) bool { return u.UID == "" && len(u.Groups) == 0 && len(u.Extra) == 0 }

func nodeOf(user string) (string, bool) {
	name, ok := strings.CutPrefix(user, nodeUserPrefix)
	if !ok || len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return "", false
	}
	return name, true
}

func serviceAccountOf(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, serviceAccountUserPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok || len(validation.ValidateNamespaceName(namespace, false)) > 0 || len(validation.ValidateServiceAccountName(name, false)) > 0 {
		return "", "", false
	}
	return namespace, name, true
}

// asksToAct says whether a request asks to act as another at all; few do.
func asksToAct(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

// wantedUser reads the headers, and takes them out where they are complete.
func wantedUser(h http.Header) (*request.User, error) {
	if !asksToAct(h) {
		return nil, nil
	}
	u := &request.User{
		Name:   h.Get(authenticationv1.ImpersonateUserHeader),
		UID:    h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: slices.Clone(h[authenticationv1.ImpersonateGroupHeader]),
	}
	hasExtra := false
	for name, values := range h {
		if !strings.HasPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix) {
			continue
		}
		hasExtra = true
		if len(values) == 0 {
			continue
		}
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		key := unescapeExtra(strings.ToLower(name[len(authenticationv1.ImpersonateUserExtraHeaderPrefix):]))
		u.Extra[key] = append(u.Extra[key], values...)
	}
	if u.Name == "" {
		if u.UID != "" || len(u.Groups) > 0 || hasExtra {
			return nil, apierrors.NewBadRequest(fmt.Sprintf(
				"requested &user.DefaultInfo{Name:%q, UID:%q, Groups:%#v, Extra:%#v} without impersonating a user name", u.Name, u.UID, u.Groups, u.Extra))
		}
		return nil, nil
	}
	h.Del(authenticationv1.ImpersonateUserHeader)
	h.Del(authenticationv1.ImpersonateUIDHeader)
	h.Del(authenticationv1.ImpersonateGroupHeader)
	for name := range h {
		if strings.HasPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix) {
			delete(h, name)
		}
	}
	return u, nil
}

type impersonation struct {
	ctx        context.Context
	authorizer authz.Authorizer
	asker      *request.User
	wanted     *request.User
}

func (i *impersonation) check(user *request.User, info *request.Info) error {
	d, reason, err := i.authorizer.Authorize(i.ctx, user, info)
	if d == authz.Allow {
		return nil
	}
	if err != nil {
		if reason != "" {
			reason = ": " + reason
		}
		reason = err.Error() + reason
	}
	return authz.Forbidden(user, info, reason)
}

func (i *impersonation) try(name string, info *request.Info) (*request.User, error) {
	t := attempt{impersonation: i, verb: "impersonate", asker: i.asker}
	if name != "" {
		t.constrained, t.verb, t.group = true, "impersonate:"+name, authenticationv1.GroupName
		if name == "associated-node" {
			t.anyNode = true
			t.asker = withoutExtra(i.asker)
		}
		on := *info
		on.Verb = "impersonate-on:" + name + ":" + info.Verb
		if err := i.check(t.asker, &on); err != nil {
			return nil, err
		}
	}
	user := *i.wanted
	for _, f := range []func(*request.User) error{t.username, t.uid, t.groups, t.extra} {
		if err := f(&user); err != nil {
			return nil, err
		}
	}
	if user.Name == AnonymousUser {
		if !user.InGroup(GroupUnauthenticated) {
			user.Groups = append(slices.Clone(user.Groups), GroupUnauthenticated)
		}
		return &user, nil
	}
	return withGroup(&user, GroupAuthenticated), nil
}

// withoutExtra is the asker as an associated node's rules may know it: the values differ from node to
// node, so that a rule could not name them.
func withoutExtra(u *request.User) *request.User {
	keys := make([]string, 0, len(u.Extra))
	for k := range u.Extra {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	c := *u
	c.Extra = map[string][]string{"authentication.kubernetes.io/associated-node-keys": keys}
	return &c
}

// attempt checks each part of the wanted identity in one way.
type attempt struct {
	*impersonation
	asker       *request.User
	constrained bool
	anyNode     bool
	verb        string
	group       string // API group of users, groups, nodes and service accounts; those of the rest is fixed
}

func (t *attempt) resource(group, resource, name string) *request.Info {
	version := "v1"
	return &request.Info{IsResource: true, Verb: t.verb, Group: group, Version: version, Resource: resource, Name: name}
}

func (t *attempt) username(user *request.User) error {
	info := t.resource(t.group, "users", user.Name)
	if node, ok := nodeOf(user.Name); ok && t.constrained {
		info.Resource, info.Name = "nodes", node
		if t.anyNode {
			info.Name = "*"
		}
		user.Groups = []string{"system:nodes"}
	}
	if namespace, name, ok := serviceAccountOf(user.Name); ok {
		info.Resource, info.Namespace, info.Name = "serviceaccounts", namespace, name
		if len(t.wanted.Groups) == 0 {
			user.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
		}
	}
	return t.check(t.asker, info)
}

func (t *attempt) uid(user *request.User) error {
	if user.UID == "" {
		return nil
	}
	return t.check(t.asker, t.resource(authenticationv1.GroupName, "uids", user.UID))
}

// many is from how many values on a constrained way asks once for all of them first.
const many = 4

func (t *attempt) groups(*request.User) error {
	groups := t.wanted.Groups
	if len(groups) == 0 {
		return nil
	}
	info := t.resource(t.group, "groups", "")
	if t.constrained {
		if slices.Contains(groups, "") {
			return authz.Forbidden(t.asker, info, "impersonating the empty string group is not allowed")
		}
		if slices.Contains(groups, authz.MastersGroup) {
			info.Name = authz.MastersGroup
			return authz.Forbidden(t.asker, info, "impersonating the system:masters group is not allowed")
		}
		if len(groups) >= many {
			info.Name = "*"
			if t.check(t.asker, info) == nil {
				return nil
			}
		}
	}
	for _, g := range groups {
		info.Name = g
		if err := t.check(t.asker, info); err != nil {
			return err
		}
	}
	return nil
}

func (t *attempt) extra(*request.User) error {
	extra := t.wanted.Extra
	if len(extra) == 0 {
		return nil
	}
	info := t.resource(authenticationv1.GroupName, "userextras", "")
	if t.constrained {
		if err := validExtra(extra); err != nil {
			return authz.Forbidden(t.asker, info, err.Error())
		}
		count := 0
		for _, values := range extra {
			count += len(values)
		}
		if count >= many {
			info.Subresource, info.Name = "*", "*"
			if t.check(t.asker, info) == nil {
				return nil
			}
		}
	}
	for key, values := range extra {
		info.Subresource = key
		for _, v := range values {
			info.Name = v
			if err := t.check(t.asker, info); err != nil {
				return err
			}
		}
	}
	return nil
}

func validExtra(extra map[string][]string) error {
	path := field.NewPath("extra", "key")
	for key, values := range extra {
		if key == "" {
			return fmt.Errorf("impersonating the empty string key in extra is not allowed")
		}
		if err := utilvalidation.IsDomainPrefixedPath(path, key).ToAggregate(); err != nil {
			return fmt.Errorf("impersonating an invalid key in extra is not allowed: %w", err)
		}
		if key != strings.ToLower(key) {
			return fmt.Errorf("impersonating a non-lowercase key in extra is not allowed: %q", key)
		}
		if len(values) == 0 {
			return fmt.Errorf("impersonating empty values in extra is not allowed")
		}
		if slices.Contains(values, "") {
			return fmt.Errorf("impersonating the empty string value in extra is not allowed")
		}
	}
	return nil
}
