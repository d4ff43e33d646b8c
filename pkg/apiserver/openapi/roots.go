package openapi

import (
	"strings"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
)

// versionInfo is the definition of what /version answers.
const versionInfo = "io.k8s.apimachinery.pkg.version.Info"

// roots describes the paths that belong to no group version: the roots of the API and of its groups, the server's
// version, and who issues service accounts' tokens.
func roots(served []*endpoint.Served) map[string]*operation {
	discovers := func(id, text, tag, model string) *operation {
		return &operation{id: id, description: text, tag: tag, consumes: objectTypes, produces: objectTypes, answers: map[string]string{"200": model}}
	}
	all := map[string]*operation{
		"/api/":  discovers("getCoreAPIVersions", "get available API versions", "core", metaPrefix+"APIVersions"),
		"/apis/": discovers("getAPIVersions", "get available API versions", "apis", metaPrefix+"APIGroupList"),
		"/version/": {id: "getCodeVersion", description: "get the version information for this server", tag: "version",
			consumes: objectTypes[:1], produces: objectTypes[:1], answers: map[string]string{"200": versionInfo}},
		"/.well-known/openid-configuration/": {id: "getServiceAccountIssuerOpenIDConfiguration", tag: "WellKnown",
			description: "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
			produces:    objectTypes[:1], answers: map[string]string{"200": ""}},
		"/openid/v1/jwks/": {id: "getServiceAccountIssuerOpenIDKeyset", tag: "openid",
			description: "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
			produces:    []string{"application/jwk-set+json"}, answers: map[string]string{"200": ""}},
	}
	for _, s := range served {
		if g := s.Kind.Group; g != "" && s.Described == nil {
			all["/apis/"+g+"/"] = discovers("get"+upperGroup(g)+"APIGroup", "get information of a group", lowerGroup(g), metaPrefix+"APIGroup")
		}
	}
	for _, o := range all {
		o.method = "get"
	}
	return all
}

// nameOfRoot is how the index of v3 calls the document of such a path.
func nameOfRoot(path string) string { return strings.Trim(path, "/") }
