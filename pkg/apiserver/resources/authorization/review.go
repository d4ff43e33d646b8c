// Package authorization declares the kinds of authorization.k8s.io: questions about what somebody may do.
// None of them is stored.
package authorization

import (
	"cmp"
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// ask puts the question of a review to the authorizer.
func ask(ctx context.Context, a authz.Authorizer, user *request.User, res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	info, problems := infoOf(res, non)
	decision, reason, err := a.Authorize(ctx, user, info)
	if err != nil {
		problems = append([]string{err.Error()}, problems...)
	}
	return authorizationv1.SubjectAccessReviewStatus{
		Allowed:         decision == authz.Allow,
		Denied:          decision == authz.Deny,
		Reason:          reason,
		EvaluationError: strings.Join(problems, "; "),
	}
}

// infoOf answers the request that a review asks about, and what of its selectors could not be used. What
// cannot be used of a selector is left out: the question is then about more than was asked, and so the
// answer never allows too much.
func infoOf(res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) (info *request.Info, problems []string) {
	if non != nil {
		return &request.Info{Path: non.Path, Verb: non.Verb}, nil
	}
	info = &request.Info{
		IsResource: true, Verb: res.Verb, Group: res.Group, Version: res.Version,
		Resource: res.Resource, Subresource: res.Subresource, Namespace: res.Namespace, Name: res.Name,
	}
	info.Version = cmp.Or(info.Version, "*")
	used := func(name, text string, whole bool) string {
		part := ""
		if text != "" {
			part = "partially "
		}
		if !whole {
			problems = append(problems, "spec.resourceAttributes."+name+" "+part+"ignored due to parse error")
		}
		return text
	}
	if s := res.FieldSelector; s != nil {
		text, whole := fieldSelector(s)
		info.FieldSelector = used("fieldSelector", text, whole)
	}
	if s := res.LabelSelector; s != nil {
		text, whole := labelSelector(s)
		info.LabelSelector = used("labelSelector", text, whole)
	}
	return info, problems
}

// labelSelector gives what can be used of a selector, and says whether that is all of it.
func labelSelector(s *authorizationv1.LabelSelectorAttributes) (text string, whole bool) {
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return "", false
		}
		return parsed.String(), true
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	selector, whole := labels.NewSelector(), true
	for _, r := range s.Requirements {
		requirement, err := labels.NewRequirement(r.Key, operators[r.Operator], r.Values)
		if err != nil {
			whole = false
			continue
		}
		selector = selector.Add(*requirement)
	}
	return selector.String(), whole
}

// fieldSelector is labelSelector for fields, which know of each only whether it has one value.
func fieldSelector(s *authorizationv1.FieldSelectorAttributes) (text string, whole bool) {
	if s.RawSelector != "" {
		parsed, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return "", false
		}
		return parsed.String(), true
	}
	var terms []fields.Selector
	for _, r := range s.Requirements {
		switch {
		case r.Operator == metav1.FieldSelectorOpIn && len(r.Values) == 1:
			terms = append(terms, fields.OneTermEqualSelector(r.Key, r.Values[0]))
		case r.Operator == metav1.FieldSelectorOpNotIn && len(r.Values) == 1:
			terms = append(terms, fields.OneTermNotEqualSelector(r.Key, r.Values[0]))
		}
	}
	return fields.AndSelectors(terms...).String(), len(terms) == len(s.Requirements)
}
