package apiserver

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// TestFiftyCreatesAtOnceAgainstAQuotaOfTenAdmitTen: a quota's remainder is never given twice.
func TestFiftyCreatesAtOnceAgainstAQuotaOfTenAdmitTen(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": "few"}})
	hard := map[string]any{"count/configmaps": "10"}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/few/resourcequotas",
		map[string]any{"metadata": map[string]any{"name": "q"}, "spec": map[string]any{"hard": hard}})
	quota := admin.must(t, http.StatusOK, "GET", "/api/v1/namespaces/few/resourcequotas/q", nil)
	quota["status"] = map[string]any{"hard": hard, "used": map[string]any{"count/configmaps": "0"}}
	admin.must(t, http.StatusOK, "PUT", "/api/v1/namespaces/few/resourcequotas/q/status", quota)

	var created, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			code, answer := admin.do(t, "POST", "/api/v1/namespaces/few/configmaps", map[string]any{"metadata": map[string]any{"name": fmt.Sprintf("c%d", i)}})
			switch code {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusForbidden:
				refused.Add(1)
			default:
				t.Errorf("%d: %v", code, answer)
			}
		})
	}
	all.Wait()
	if created.Load() != 10 || refused.Load() != 40 {
		t.Errorf("%d were created and %d refused", created.Load(), refused.Load())
	}
	quota = admin.must(t, http.StatusOK, "GET", "/api/v1/namespaces/few/resourcequotas/q", nil)
	if used := quota["status"].(map[string]any)["used"].(map[string]any)["count/configmaps"]; used != "10" {
		t.Errorf("used: %v", used)
	}
}
