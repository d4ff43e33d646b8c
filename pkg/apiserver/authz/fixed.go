package authz

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// MastersGroup may do everything, whatever the configured modes say.
const MastersGroup = "system:masters"

type fixed struct {
	decision Decision
	reason   string
	rules    Rules
}

func (f fixed) Authorize(context.Context, *request.User, *request.Info) (Decision, string, error) {
	return f.decision, f.reason, nil
}

func (f fixed) RulesFor(context.Context, *request.User, string) Rules { return f.rules }

// AlwaysAllow allows everything.
func AlwaysAllow() Authorizer {
	all := []string{"*"}
	return fixed{decision: Allow, rules: Rules{
		Resource:    []authorizationv1.ResourceRule{{Verbs: all, APIGroups: all, Resources: all}},
		NonResource: []authorizationv1.NonResourceRule{{Verbs: all, NonResourceURLs: all}},
	}}
}

// AlwaysDeny denies everything, with upstream's words.
func AlwaysDeny() Authorizer {
	return fixed{decision: NoOpinion, reason: "Everything is forbidden."}
}

type masters struct{}

// Masters allows everything to members of system:masters and has no opinion of others.
func Masters() Authorizer { return masters{} }

func (masters) Authorize(_ context.Context, user *request.User, _ *request.Info) (Decision, string, error) {
	if user.InGroup(MastersGroup) {
		return Allow, "", nil
	}
	return NoOpinion, "", nil
}

// Union asks authorizers in order. The first that allows or denies decides; where none does, the reasons
// and errors of all of them are told.
type Union []Authorizer

// Authorize implements Authorizer.
func (u Union) Authorize(ctx context.Context, user *request.User, info *request.Info) (Decision, string, error) {
	var reasons []string
	var errs []error
	for _, a := range u {
		d, reason, err := a.Authorize(ctx, user, info)
		if err != nil {
			errs = append(errs, err)
		}
		if d != NoOpinion {
			return d, reason, err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return NoOpinion, strings.Join(reasons, "\n"), joined(errs)
}

// RulesFor puts together what each authorizer can list.
func (u Union) RulesFor(ctx context.Context, user *request.User, namespace string) Rules {
	var all Rules
	for _, a := range u {
		r, ok := a.(RuleResolver)
		if !ok {
			continue
		}
		rules := r.RulesFor(ctx, user, namespace)
		all.Resource = append(all.Resource, rules.Resource...)
		all.NonResource = append(all.NonResource, rules.NonResource...)
		all.Errors = append(all.Errors, rules.Errors...)
		all.Incomplete = all.Incomplete || rules.Incomplete
	}
	return all
}
