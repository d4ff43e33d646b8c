// Package streaming carries connections that stop being HTTP: exec, attach and port-forward, between
// clients that speak SPDY or WebSocket and servers that speak SPDY, and what a reverse proxy must do about
// them. Both ends of the way from a client to a container are built of it; it knows neither.
package streaming

import (
	"net/http"
	"strings"
)

// IsUpgrade says whether the client asks to leave HTTP.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade")
}

// IsWebSocket says whether it asks for WebSocket.
func IsWebSocket(r *http.Request) bool {
	return IsUpgrade(r) && hasToken(r.Header, "Upgrade", "websocket")
}

// hasToken says whether a header's comma-separated values hold a word, in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
