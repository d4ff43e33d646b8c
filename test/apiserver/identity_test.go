package apiserver

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver"
	"github.com/sampan-project/sampan/pkg/pki"
)

// authority starts a server that takes client certificates, and gives who signs them.
func authority(t *testing.T) (*server, *pki.Pair) {
	t.Helper()
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "test-ca"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, t.TempDir(), func(c *apiserver.Config) {
		c.Guard.ClientCAFile, c.Guard.EnablePlugins = file, []string{"NodeRestriction"}
	}), ca
}

func TestNobodyActsAsAnotherWithoutRights(t *testing.T) {
	s, ca := authority(t)
	jane := s.as("", certificate(t, ca, "jane", "team"))
	for _, headers := range [][]string{
		{"Impersonate-User", "admin"},
		{"Impersonate-User", "jane"},
		{"Impersonate-User", "system:admin", "Impersonate-Group", "system:masters"},
		{"Impersonate-User", "jane", "Impersonate-Group", "system:masters"},
		{"Impersonate-User", "system:node:n1", "Impersonate-Group", "system:nodes"},
		{"Impersonate-User", "system:serviceaccount:kube-system:default"},
		{"Impersonate-User", "jane", "Impersonate-Extra-Scopes", "all"},
		{"Impersonate-User", "jane", "Impersonate-Uid", "1"},
		{"Impersonate-User", "system:anonymous"},
	} {
		jane.send(t, "GET", "/api/v1/secrets", "", nil, headers...).want(t, strings.Join(headers, " "), http.StatusForbidden, `User "jane" cannot impersonate`)
	}
	for _, headers := range [][]string{{"Impersonate-Group", "system:masters"}, {"Impersonate-Uid", "1"}, {"Impersonate-Extra-Scopes", "all"}} {
		jane.send(t, "GET", "/api/v1/secrets", "", nil, headers...).want(t, strings.Join(headers, " "), http.StatusBadRequest, "without impersonating a user name")
	}
	// Names that only a front proxy may tell tell nothing.
	jane.send(t, "GET", "/api/v1/secrets", "", nil, "X-Remote-User", "admin", "X-Remote-Group", "system:masters").
		want(t, "a front proxy's headers", http.StatusForbidden, `User "jane" cannot list`)
	s.as(adminToken).send(t, "GET", "/api/v1/secrets", "", nil, "Impersonate-User", "jane").
		want(t, "who may act as another has only its rights", http.StatusForbidden, `User "jane" cannot list`)
}

// CVE-2025-4563, CVE-2025-5187 and what stands around them.
func TestANodeTouchesOnlyItsOwn(t *testing.T) {
	s, ca := authority(t)
	admin, node := s.as(adminToken), s.as("", certificate(t, ca, "system:node:n1", "system:nodes"))
	const pods, nodes = "/api/v1/namespaces/default/pods", "/api/v1/nodes"
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "default"))
	for _, n := range []string{"n1", "n2"} {
		admin.must(t, http.StatusCreated, "POST", nodes, object("v1", "Node", n))
		for _, kind := range []string{"Secret", "ConfigMap"} {
			admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/"+strings.ToLower(kind)+"s", object("v1", kind, "of-"+n))
		}
		admin.send(t, "POST", pods, mediaJSON, []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"on-`+n+`"},"spec":{"nodeName":"`+n+`","containers":[{"name":"c","image":"i"}],
			"volumes":[{"name":"s","secret":{"secretName":"of-`+n+`"}},{"name":"c","configMap":{"name":"of-`+n+`"}}]}}`)).want(t, "a pod", http.StatusCreated, "")
	}
	until(t, "the node reads its pod's secret", func() bool {
		code, _ := node.do(t, "GET", "/api/v1/namespaces/default/secrets/of-n1", nil)
		return code == http.StatusOK
	})
	mirror := func(name, on, more string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `","annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"` + on +
			`","uid":"` + at(admin.must(t, http.StatusOK, "GET", nodes+"/"+on, nil), "metadata.uid") + `","controller":true}]},"spec":{"nodeName":"` + on + `","containers":[{"name":"c","image":"i"}]` + more + `}}`
	}
	const strategic, requests = "application/strategic-merge-patch+json", "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	asking := func(name, signer string) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: []string{"system:nodes"}}}, ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		return `{"metadata":{"generateName":"c-"},"spec":{"signerName":"` + signer + `","usages":["client auth"],"request":"` + base64.StdEncoding.EncodeToString(text) + `"}}`
	}
	for _, c := range []struct {
		what, method, path, media, body string
		code                            int
	}{
		{"its own", "GET", nodes + "/n1", "", "", 200},
		{"its own status", "PATCH", nodes + "/n1/status", strategic, `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, 200},
		{"its own pod's status", "PATCH", pods + "/on-n1/status", strategic, `{"status":{"phase":"Running"}}`, 200},
		{"a mirror pod of its own", "POST", pods, mediaJSON, mirror("mirror", "n1", ""), 201},
		{"another node's status", "PATCH", nodes + "/n2/status", strategic, `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`, 403},
		{"another node", "PATCH", nodes + "/n2", strategic, `{"metadata":{"labels":{"a":"b"}}}`, 403},
		{"the deletion of a node", "DELETE", nodes + "/n2", "", "", 403},
		{"the deletion of itself", "DELETE", nodes + "/n1", "", "", 403},
		{"another node by creation", "POST", nodes, mediaJSON, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n3"}}`, 403},
		{"its own taints", "PATCH", nodes + "/n1", strategic, `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`, 403},
		{"its own owners", "PATCH", nodes + "/n1", strategic, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"y"}]}}`, 403},
		{"a label that isolates", "PATCH", nodes + "/n1", strategic, `{"metadata":{"labels":{"node-restriction.kubernetes.io/a":"b"}}}`, 403},
		{"a label of Kubernetes", "PATCH", nodes + "/n1", strategic, `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`, 403},
		{"a secret of another's pod", "GET", "/api/v1/namespaces/default/secrets/of-n2", "", "", 403},
		{"a configmap of another's pod", "GET", "/api/v1/namespaces/default/configmaps/of-n2", "", "", 403},
		{"all secrets", "GET", "/api/v1/namespaces/default/secrets", "", "", 403},
		{"its own secret, changed", "PATCH", "/api/v1/namespaces/default/secrets/of-n1", strategic, `{"stringData":{"a":"b"}}`, 403},
		{"another's pod's status", "PATCH", pods + "/on-n2/status", strategic, `{"status":{"phase":"Failed"}}`, 403},
		{"the deletion of another's pod", "DELETE", pods + "/on-n2", "", "", 403},
		{"the eviction of another's pod", "POST", pods + "/on-n2/eviction", mediaJSON, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"on-n2"}}`, 403},
		{"its own pod's spec", "PATCH", pods + "/on-n1", strategic, `{"spec":{"activeDeadlineSeconds":5}}`, 403},
		{"a mirror pod of another", "POST", pods, mediaJSON, mirror("theirs", "n2", ""), 403},
		{"a pod that is no mirror", "POST", pods, mediaJSON, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"free"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}}`, 403},
		{"a mirror with an account", "POST", pods, mediaJSON, mirror("account", "n1", `,"serviceAccountName":"default"`), 403},
		{"a mirror with a secret", "POST", pods, mediaJSON, mirror("secret", "n1", `,"volumes":[{"name":"s","secret":{"secretName":"of-n2"}}]`), 403},
		{"a mirror with a claim of devices", "POST", pods, mediaJSON, mirror("claim", "n1", `,"resourceClaims":[{"name":"r","resourceClaimName":"x"}]`), 403},
		{"a token for no pod", "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", mediaJSON, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, 403},
		{"a token for another's pod", "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", mediaJSON, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"on-n2","uid":"` +
			at(admin.must(t, http.StatusOK, "GET", pods+"/on-n2", nil), "metadata.uid") + `"}}}`, 403},
		{"another's certificate", "POST", requests, mediaJSON, asking("system:node:n2", "kubernetes.io/kube-apiserver-client-kubelet"), 403},
		{"another's serving certificate", "POST", requests, mediaJSON, asking("system:node:n2", "kubernetes.io/kubelet-serving"), 403},
		{"its own certificate", "POST", requests, mediaJSON, asking("system:node:n1", "kubernetes.io/kube-apiserver-client-kubelet"), 201},
		{"a certificate of another kind", "POST", requests, mediaJSON, asking("somebody", "example.com/signer"), 201},
		{"another's lease", "POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", mediaJSON, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"n2"}}`, 403},
		{"its own lease", "POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", mediaJSON, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"n1"}}`, 201},
	} {
		if got := node.send(t, c.method, c.path, c.media, []byte(c.body)); got.code != c.code {
			t.Errorf("%s: answered %d, want %d: %s", c.what, got.code, c.code, got.message())
		}
	}

	// Of a collection's objects admission hears no names, whoever has the right to delete it.
	const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	granted(t, admin, "system:node:n1", `{"apiGroups":["","coordination.k8s.io"],"resources":["pods","nodes","leases"],"verbs":["list","deletecollection"]}`, known("system:node:n1"))
	for path, want := range map[string]string{
		pods: "", nodes: `nodes "Unknown" is forbidden: node "n1" is not allowed to modify node ""`,
		leases: `leases.coordination.k8s.io "Unknown" is forbidden: can only access node lease with the same name as the requesting node`,
	} {
		got := node.send(t, "DELETE", path, "", nil)
		if code := http.StatusForbidden; want != "" && (got.code != code || got.message() != want) || want == "" && got.code != http.StatusOK {
			t.Errorf("all of %s: answered %d: %s, want %q", path, got.code, got.message(), want)
		}
	}
	for _, pod := range []string{"/on-n1", "/on-n2", "/mirror"} {
		admin.must(t, http.StatusOK, "GET", pods+pod, nil)
	}
}
