package authn

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// bearer finds a token in the Authorization header, or among the subprotocols of a WebSocket, where
// browsers can put it.
type bearer struct{ chain *Chain }

// socketPrefix precedes the token, in unpadded base64url, in Sec-WebSocket-Protocol.
const socketPrefix = "base64url.bearer.authorization.k8s.io."

const protocolHeader = "Sec-WebSocket-Protocol"

func (b bearer) Authenticate(r *http.Request) (*request.User, error) {
	header, found := headerToken(r.Header)
	if header != "" {
		user, _, err := b.chain.AuthenticateToken(r.Context(), header, nil)
		return user, err
	}
	if found {
		request.Warn(r.Context(), "the provided Authorization header contains extra space before the bearer token, and is ignored")
	}
	token, rest, err := socketToken(r)
	if token == "" || err != nil {
		return nil, err
	}
	user, _, err := b.chain.AuthenticateToken(r.Context(), token, nil)
	if user != nil {
		r.Header.Set(protocolHeader, strings.Join(rest, ","))
	}
	return user, err
}

// headerToken also says whether the header holds a token at all: behind more than one blank it is not looked for.
func headerToken(h http.Header) (token string, found bool) {
	scheme, token, found := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	if !found || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	// A token has no blanks; whatever stands behind one is not part of it.
	token, _, _ = strings.Cut(token, " ")
	return token, true
}

// socketToken answers the token and the protocols that remain without it.
func socketToken(r *http.Request) (token string, rest []string, err error) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return "", nil, nil
	}
	for _, h := range r.Header.Values(protocolHeader) {
		for p := range strings.SplitSeq(h, ",") {
			p = textproto.TrimString(p)
			encoded, ok := strings.CutPrefix(p, socketPrefix)
			if !ok {
				if p != "" {
					rest = append(rest, p)
				}
				continue
			}
			if token != "" {
				return "", nil, errInvalidToken // two tokens: which one is meant?
			}
			decoded, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil || len(decoded) == 0 {
				return "", nil, errInvalidToken
			}
			token = string(decoded)
		}
	}
	if token != "" && len(rest) == 0 {
		return "", nil, errInvalidToken // the server must answer one of the protocols, and never the token
	}
	return token, rest, nil
}
