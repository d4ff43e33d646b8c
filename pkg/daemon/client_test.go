package daemon

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestServerOfAnotherAuthorityIsRefusedAtOnce(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := CheckServer(t.Context(), &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}}); err != nil {
		t.Errorf("its own authority: %v", err)
	}
	cert, err := SelfSigned("other")
	if err != nil {
		t.Fatal(err)
	}
	other := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	err = CheckServer(t.Context(), &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: other}})
	if err == nil || !strings.Contains(err.Error(), "certificate-authority") {
		t.Errorf("another authority: %v", err)
	}
}

func TestServerThatIsNotThereYetIsNoError(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	if err := CheckServer(t.Context(), &rest.Config{Host: server.URL}); err != nil {
		t.Error(err)
	}
}
