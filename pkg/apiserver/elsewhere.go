package apiserver

import (
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
)

// elsewhere answers for what other servers serve, by their APIServices: their groups are described, and requests for
// their versions are told that the server cannot be reached. It says whether it has answered.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request) bool {
	below, is := strings.CutPrefix(r.URL.Path, "/apis/")
	if !is {
		return false
	}
	group, rest, _ := strings.Cut(strings.TrimSuffix(below, "/"), "/")
	if rest == "" {
		g, err := s.apiServices.Group(r.Context(), group)
		if err != nil || g == nil {
			return false
		}
		endpoint.Write(w, r, http.StatusOK, g)
		return true
	}
	version, _, _ := strings.Cut(rest, "/")
	there, err := s.apiServices.Elsewhere(r.Context(), schema.GroupVersion{Group: group, Version: version})
	if err != nil || !there {
		return false
	}
	http.Error(w, "service unavailable", http.StatusServiceUnavailable)
	return true
}
