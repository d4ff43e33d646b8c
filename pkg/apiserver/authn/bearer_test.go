package authn

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

func TestBlanksBeforeATokenAreWarnedOf(t *testing.T) {
	const text = "the provided Authorization header contains extra space before the bearer token, and is ignored"
	for header, want := range map[string][]string{"Bearer  token": {text}, "bearer   x y": {text}, "Bearer ": nil, "Bearer": nil, "": nil} {
		ctx, warnings := request.WithWarnings(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if user, err := (bearer{&Chain{}}).Authenticate(r); user != nil || err != nil {
			t.Errorf("%q: %v, %v", header, user, err)
		}
		if got := warnings.Texts(); !slices.Equal(got, want) {
			t.Errorf("%q warns of %q, want %q", header, got, want)
		}
	}
}
