package apiserver

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestWatchesCanBeSockets follows a collection as a browser does: with its token among the protocols.
func TestWatchesCanBeSockets(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	dialer := websocket.Dialer{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who serves is not what is tested
		Subprotocols:    []string{"base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(adminToken)), "base64.binary.k8s.io"},
	}
	const path = "/api/v1/namespaces/kube-public/configmaps?watch=1&fieldSelector=metadata.name%3Da"
	open := func(accept string) *websocket.Conn {
		t.Helper()
		ws, answer, err := dialer.DialContext(t.Context(), strings.Replace(s.url, "https", "wss", 1)+path, http.Header{"Accept": {accept}})
		if err != nil {
			t.Fatalf("opening the socket: %v (%v)", err, answer)
		}
		t.Cleanup(func() { _ = ws.Close() })
		if p := ws.Subprotocol(); p != "base64.binary.k8s.io" {
			t.Errorf("the protocol that is spoken: %q", p)
		}
		if err := ws.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return ws
	}
	plain, packed := open("application/json"), open("application/vnd.kubernetes.protobuf;stream=watch")
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/kube-public/configmaps", object("v1", "ConfigMap", "a"))

	kind, message, err := plain.ReadMessage()
	var event map[string]any
	if err == nil {
		err = json.Unmarshal(message, &event)
	}
	if err != nil || kind != websocket.TextMessage || at(event, "type") != "ADDED" || at(event, "object.metadata.name") != "a" {
		t.Errorf("the first event: %v, %v, %s", err, kind, message)
	}
	kind, message, err = packed.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage || !bytes.HasPrefix(message, []byte("\n\x05ADDED")) {
		t.Errorf("the first event in protobuf: %v, %v, %q", err, kind, message)
	}
	if _, answer, err := dialer.DialContext(t.Context(), strings.Replace(s.url, "https", "wss", 1)+strings.Replace(path, "metadata.name", "spec.none", 1), nil); err == nil || answer == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a watch that is refused becomes a socket: %v", err)
	}
}
