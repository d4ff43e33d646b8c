package apiserver

import (
	"net/http"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver"
)

// TestServerAdvertisedAtLoopbackBecomesReady starts a server as test environments do, at an address that
// endpoints may not name.
func TestServerAdvertisedAtLoopbackBecomesReady(t *testing.T) {
	s := start(t, t.TempDir(), func(c *apiserver.Config) { c.Advertise = "127.0.0.1" })
	s.as(adminToken).must(t, http.StatusOK, "GET", "/api/v1/namespaces/default/services/kubernetes", nil)
}
