package kubelet

import (
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/config"
)

// TestThePortTakesWhomTheConfigurationSays: the apiserver knows every token and permits nothing.
func TestThePortTakesWhomTheConfigurationSays(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "u"}}
		return true, r, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SubjectAccessReview{}, nil
	})
	for _, c := range []struct {
		webhook bool
		mode    kubeletv1beta1.KubeletAuthorizationMode
		want    int
	}{
		{true, kubeletv1beta1.KubeletAuthorizationModeWebhook, http.StatusForbidden},
		{true, kubeletv1beta1.KubeletAuthorizationModeAlwaysAllow, http.StatusOK},
		{false, kubeletv1beta1.KubeletAuthorizationModeWebhook, http.StatusUnauthorized},
		{false, kubeletv1beta1.KubeletAuthorizationModeAlwaysAllow, http.StatusUnauthorized},
	} {
		cfg := config.New()
		cfg.Kubelet.Authentication.Webhook.Enabled, cfg.Kubelet.Authorization.Mode = &c.webhook, c.mode
		auth, err := (&kubelet{cfg: cfg, client: client, clock: clock.RealClock{}}).auth()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/pods", nil)
		r.Header.Set("Authorization", "Bearer t")
		w := httptest.NewRecorder()
		auth.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("tokens %v, mode %s: %d, want %d", c.webhook, c.mode, w.Code, c.want)
		}
	}
}
