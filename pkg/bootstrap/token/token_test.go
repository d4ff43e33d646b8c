package token

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/certs"
	"github.com/sampan-project/sampan/pkg/controllers/bootstrap"
	"github.com/sampan-project/sampan/pkg/pki"
)

const good = "abcdef.0123456789abcdef"

func TestTokensAreKeptAsUpstreamKeepsThem(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	tok, err := New(good, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset()
	if err := Create(t.Context(), client, tok, false); err != nil {
		t.Fatal(err)
	}
	s, err := client.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-abcdef", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Type != "bootstrap.kubernetes.io/token" || string(s.Data["expiration"]) != "2026-01-02T04:04:05Z" || string(s.Data["usage-bootstrap-signing"]) != "true" ||
		string(s.Data["auth-extra-groups"]) != "system:bootstrappers:kubeadm:default-node-token" {
		t.Errorf("the secret is %s %v", s.Type, s.Data)
	}
	if err := Create(t.Context(), client, tok, false); err == nil || !strings.Contains(err.Error(), "ctl token delete") {
		t.Errorf("a second time: %v", err)
	}
	list, err := List(t.Context(), client)
	if err != nil || len(list) != 1 || list[0].String() != good {
		t.Errorf("listed are %v, %v", list, err)
	}
	if err := Delete(t.Context(), client, good); err != nil {
		t.Error(err)
	}
	if err := Delete(t.Context(), client, "abcdef"); err == nil {
		t.Error("a token that is gone was deleted")
	}
}

func TestGeneratedTokensAreGood(t *testing.T) {
	text, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(text, 0, time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := New("UPPER1.0123456789abcdef", 0, time.Now()); err == nil {
		t.Error("a token in capital letters was taken")
	}
}

// clusterOf serves a cluster-info that the token signs, once sign says so.
func clusterOf(t *testing.T, sign func() bool) (server string, hash string) {
	t.Helper()
	var content string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, Data: map[string]string{"kubeconfig": content}}
		if sign() {
			var err error
			if m.Data["jws-kubeconfig-abcdef"], err = bootstrap.Detached(content, "abcdef", "0123456789abcdef"); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m)
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	// The test server's certificate vouches for itself.
	authority := pki.EncodeCertificates(s.Certificate())
	c := api.NewConfig()
	c.Clusters[""] = &api.Cluster{Server: s.URL, CertificateAuthorityData: authority}
	data, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	content = string(data)
	return strings.TrimPrefix(s.URL, "https://"), certs.Hash(s.Certificate())
}

func TestDiscoveryTrustsWhatTheTokenSigned(t *testing.T) {
	asked := 0
	server, hash := clusterOf(t, func() bool { asked++; return asked > 1 }) // the signer needs a moment
	cluster, err := Discover(t.Context(), clock.RealClock{}, server, good, []string{hash}, false)
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Server != "https://"+server {
		t.Errorf("found %s", cluster.Server)
	}
}

func TestDiscoveryTrustsNobodyElse(t *testing.T) {
	server, hash := clusterOf(t, func() bool { return true })
	for name, c := range map[string]struct{ token, hash, says string }{
		"wrong secret":    {"abcdef.ffffffffffffffff", hash, "did not sign"},
		"wrong authority": {good, "sha256:00", "not the cluster that was meant"},
	} {
		_, err := Discover(t.Context(), clock.RealClock{}, server, c.token, []string{c.hash}, false)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Discover(ctx, clock.RealClock{}, server, "zzzzzz.0123456789abcdef", []string{hash}, false); !errors.Is(err, errUnsigned) {
		t.Errorf("a token that the cluster does not know: %v", err)
	}
}
