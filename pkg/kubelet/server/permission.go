package server

import (
	"fmt"
	"net/http"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/sampan-project/sampan/pkg/streaming"
)

// permitted lets those through who may use what a path stands for. A path with a subresource of its own is
// open to those who may use that, or the whole node by nodes/proxy.
func (s *Server) permitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := s.cfg.Auth.Authenticate(r)
		if err != nil || user == nil {
			if err != nil {
				s.cfg.Log.V(2).Info("A request could not be authenticated", "error", err.Error(), "from", r.RemoteAddr)
			}
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		verb, subresources := verbOf(r), subresourcesOf(r.URL.Path)
		for _, sub := range subresources {
			allowed, _, err := s.cfg.Auth.Authorize(r.Context(), user, authorizationv1.SubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: verb, Version: "v1", Resource: "nodes", Subresource: sub, Name: s.cfg.NodeName,
				},
			})
			if err != nil {
				s.cfg.Log.Error(err, "Asking whether a request is permitted", "user", user.Username)
				http.Error(w, fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=nodes, subresource(s)=%v)", user.Username, verb, subresources),
					http.StatusInternalServerError)
				return
			}
			if allowed {
				next.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=%v)", user.Username, verb, subresources), http.StatusForbidden)
	})
}

// verbOf is what the method means. An upgrade acts on a container whatever its method: WebSocket clients
// can only say GET, and who may only read must not run commands that way.
func verbOf(r *http.Request) string {
	if streaming.IsUpgrade(r) {
		return "create"
	}
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "get"
}

// subresourcesOf names the subresources of nodes by which a path may be used, the narrowest first.
func subresourcesOf(path string) []string {
	for _, p := range []struct {
		path string
		subs []string
	}{
		{"/stats", []string{"stats"}},
		{"/metrics", []string{"metrics"}},
		{"/logs", []string{"log"}},
		{"/checkpoint", []string{"checkpoint"}},
		{"/statusz", []string{"statusz"}},
		{"/flagz", []string{"configz"}},
		{"/pods", []string{"pods", "proxy"}},
		{"/runningpods", []string{"pods", "proxy"}},
		{"/healthz", []string{"healthz", "proxy"}},
		{"/configz", []string{"configz", "proxy"}},
	} {
		if path == p.path || strings.HasPrefix(path, p.path+"/") {
			return p.subs
		}
	}
	return []string{"proxy"}
}
