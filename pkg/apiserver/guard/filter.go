package guard

import (
	"net/http"

	"github.com/sampan-project/sampan/pkg/apiserver/authn"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Filter lets a request pass to next as whom it comes from, or acts as, where that user may make it. What
// it asks for must stand in its context already. fail answers with a status error.
func (g *Guard) Filter(next http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := g.Authn.Authenticate(r)
		if r.ProtoMajor == 2 && (err != nil || user.Name == authn.AnonymousUser) {
			// HTTP/2 costs a server more than a client: who is nobody gets a connection for one request only.
			w.Header().Set("Connection", "close")
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		ctx, info := r.Context(), request.InfoFrom(r.Context())
		as, err := authn.Impersonate(r, g.Authz, user, info)
		if err != nil {
			fail(w, r, err)
			return
		}
		if as != nil {
			user = as
		}
		if known := request.WithUser(ctx, user); known != ctx {
			r = r.WithContext(known)
		}
		decision, reason, err := g.Authz.Authorize(ctx, user, info)
		if decision == authz.Allow {
			next.ServeHTTP(w, r)
			return
		}
		if err != nil {
			g.cfg.Log.Error(err, "authorizing a request", "path", r.URL.Path)
		}
		fail(w, r, authz.Forbidden(user, info, reason))
	})
}
