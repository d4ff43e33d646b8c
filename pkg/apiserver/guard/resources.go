package guard

import (
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/authentication"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/authorization"
)

// Resources are the questions that the guard itself answers.
func (g *Guard) Resources() []*resource.Resource {
	return []*resource.Resource{
		authentication.SelfSubjectReview(g.cfg.Now),
		authentication.TokenReview(g.Authn),
		authorization.LocalSubjectAccessReview(g.Authz),
		authorization.SelfSubjectAccessReview(g.Authz),
		authorization.SelfSubjectRulesReview(g.Authz),
		authorization.SubjectAccessReview(g.Authz),
	}
}
