package serviceaccount

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/sampan-project/sampan/pkg/accounttoken"
)

// The paths at which others learn how to verify tokens.
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// Discovery are the two documents of OpenID discovery, in their bytes.
type Discovery struct {
	Configuration, Keys []byte
}

// NewDiscovery makes the documents. keysURL, where empty, is KeysPath under base, the address at which the
// server is known outside.
func NewDiscovery(issuer, keysURL, base string, keys []crypto.PublicKey) (*Discovery, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("OpenID discovery is off: the issuer %q is not an https URL without query and fragment", issuer)
	}
	keysURL = cmp.Or(keysURL, base+KeysPath)
	if k, err := url.Parse(keysURL); err != nil || k.Scheme != "https" {
		return nil, fmt.Errorf("OpenID discovery is off: the address of the keys, %q, is not an https URL", keysURL)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	algs := []string{}
	for _, k := range keys {
		alg, err := accounttoken.Algorithm(k)
		if err != nil {
			return nil, err
		}
		id, err := accounttoken.KeyID(k)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Algorithm: string(alg), Key: k, KeyID: id, Use: "sig"})
		if !slices.Contains(algs, string(alg)) {
			algs = append(algs, string(alg))
		}
	}
	slices.Sort(algs)
	d := &Discovery{}
	if d.Keys, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("encoding the key set: %w", err)
	}
	d.Configuration, err = json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		SigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
	}{issuer, keysURL, []string{"id_token"}, []string{"public"}, algs})
	if err != nil {
		return nil, fmt.Errorf("encoding the discovery document: %w", err)
	}
	return d, nil
}

// Handlers are the handlers of the two paths.
func (d *Discovery) Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		ConfigurationPath: document("application/json", d.Configuration),
		KeysPath:          document("application/jwk-set+json", d.Keys),
	}
}

func document(contentType string, body []byte) http.Handler {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
	})
}
