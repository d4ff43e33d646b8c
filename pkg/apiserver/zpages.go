package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// zpage is a page about the process, answered as objects of the API are.
type zpage struct{ daemon.ZPage }

// debugFolders are the first parts of paths, but for those that belong to the API.
func debugFolders(paths []string) (out []string) {
	api := []string{"", "api", "apis", "openid", "openapi", ".well-known"}
	for _, p := range paths {
		first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
		if !slices.Contains(api, first) {
			out = append(out, "/"+first)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ServeHTTP answers with the page.
func (p zpage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media, version, ok := p.Choose(r.Header.Get("Accept"))
	switch {
	case !ok:
		endpoint.Fail(w, r, endpoint.NotAcceptable("application/json", "application/yaml", "text/plain"))
	case version != "":
		p.Warn(w.Header(), version)
		object, params := p.Object(version)
		endpoint.WriteTyped(w, r, media, params, &unstructured.Unstructured{Object: object})
	default:
		p.ZPage.ServeHTTP(w, r)
	}
}
