// Package authorization declares the kinds of authorization.k8s.io: questions about what somebody may do.
// None of them is stored.
package authorization

import (
	"cmp"
	"context"
	"fmt"
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
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authz.Allow,
		Denied:  decision == authz.Deny,
		Reason:  reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	if len(problems) > 0 && !status.Allowed {
		texts := append([]string{}, problems...)
		if status.EvaluationError != "" {
			texts = append(texts, status.EvaluationError)
		}
		status.EvaluationError = strings.Join(texts, ", ")
		if len(texts) > 1 {
			status.EvaluationError = "[" + status.EvaluationError + "]"
		}
	}
	return status
}

// infoOf answers the request that a review asks about, and what of its selectors could not be used. A
// selector that cannot be used is left out: the question is then about more than was asked, and so the
// answer never allows too much.
func infoOf(res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) (*request.Info, []string) {
	if non != nil {
		return &request.Info{Path: non.Path, Verb: non.Verb}, nil
	}
	info := &request.Info{
		IsResource: true, Verb: res.Verb, Group: res.Group, Version: res.Version,
		Resource: res.Resource, Subresource: res.Subresource, Namespace: res.Namespace, Name: res.Name,
	}
	info.Version = cmp.Or(info.Version, "*")
	var problems []string
	var err error
	if info.LabelSelector, err = labelSelector(res.LabelSelector); err != nil {
		problems = append(problems, "spec.resourceAttributes.labelSelector ignored due to parse error: "+err.Error())
	}
	if info.FieldSelector, err = fieldSelector(res.FieldSelector); err != nil {
		problems = append(problems, "spec.resourceAttributes.fieldSelector ignored due to parse error: "+err.Error())
	}
	return info, problems
}

func labelSelector(s *authorizationv1.LabelSelectorAttributes) (string, error) {
	if s == nil {
		return "", nil
	}
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return "", err
		}
		return parsed.String(), nil
	}
	selector := labels.NewSelector()
	for _, r := range s.Requirements {
		ops := map[metav1.LabelSelectorOperator]selection.Operator{
			metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
			metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
		}
		op, ok := ops[r.Operator]
		if !ok {
			return "", fmt.Errorf("%q is not a valid label selector operator", r.Operator)
		}
		requirement, err := labels.NewRequirement(r.Key, op, r.Values)
		if err != nil {
			return "", err
		}
		selector = selector.Add(*requirement)
	}
	return selector.String(), nil
}

func fieldSelector(s *authorizationv1.FieldSelectorAttributes) (string, error) {
	if s == nil {
		return "", nil
	}
	if s.RawSelector != "" {
		parsed, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return "", err
		}
		return parsed.String(), nil
	}
	var terms []fields.Selector
	for _, r := range s.Requirements {
		if len(r.Values) != 1 {
			return "", fmt.Errorf("fieldSelectors must have exactly one value for the operator %q", r.Operator)
		}
		switch r.Operator {
		case metav1.FieldSelectorOpIn:
			terms = append(terms, fields.OneTermEqualSelector(r.Key, r.Values[0]))
		case metav1.FieldSelectorOpNotIn:
			terms = append(terms, fields.OneTermNotEqualSelector(r.Key, r.Values[0]))
		default:
			return "", fmt.Errorf("%q is not a valid field selector operator", r.Operator)
		}
	}
	return fields.AndSelectors(terms...).String(), nil
}
