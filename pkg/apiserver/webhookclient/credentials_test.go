package webhookclient

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

const users = `
kind: Config
apiVersion: v1
current-context: now
contexts:
- {name: now, context: {user: current}}
users:
- {name: "hooks.ns.svc", user: {token: service}}
- {name: "hooks.ns.svc:8443", user: {token: port, tokenFile: kept}}
- {name: "*.example.com:443", user: {token: domain with port}}
- {name: "*.example.com", user: {token: domain}}
- {name: "a.example.com", user: {token: host}}
- {name: "*.com:8443", user: {token: com}}
- {name: "[::1]:8443", user: {token: six}}
- {name: "file.org", user: {tokenFile: token}}
- {name: "gone.org", user: {tokenFile: gone}}
- {name: "old.org", user: {auth-provider: {name: old}}}
- {name: "all.org", user: {username: u, password: p, client-certificate: cert, client-key: key, as: a, as-groups: [g]}}
- {name: "current", user: {token: current}}
`

func TestWebhooksAreCalledWithTheCredentialsForThem(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("token", "from the file")
	file, star := write("users", users), write("star", strings.Replace(users, `"current", user: {token: current}`, `"*", user: {token: star}`, 1))
	service := func(name string, port int32) *admissionv1.WebhookClientConfig {
		return &admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "ns", Name: name, Port: &port}}
	}
	at := func(url string) *admissionv1.WebhookClientConfig { return &admissionv1.WebhookClientConfig{URL: &url} }
	for name, c := range map[string]struct {
		file         string
		hook         *admissionv1.WebhookClientConfig
		token, fault string
	}{
		"a service":                      {file, service("hooks", 443), "service", ""},
		"a service without a port":       {file, service("hooks", 0), "service", ""},
		"a service's other port":         {file, service("hooks", 8443), "port", ""},
		"a port that is not named":       {file, service("hooks", 8444), "current", ""},
		"another service":                {star, service("others", 443), "star", ""},
		"a domain goes before a host":    {file, at("https://a.example.com/x"), "domain with port", ""},
		"a domain of another port":       {file, at("https://a.example.com:8443"), "com", ""},
		"the domain itself":              {star, at("https://example.com"), "star", ""},
		"an address":                     {file, at("https://[::1]:8443"), "six", ""},
		"a file":                         {file, at("https://file.org"), "from the file", ""},
		"a file that is gone":            {file, at("https://gone.org"), "", "no such file"},
		"what is not supported any more": {file, at("https://old.org"), "", "auth provider not supported"},
		"no file":                        {"", at("https://a.example.com"), "", ""},
		"no place":                       {file, &admissionv1.WebhookClientConfig{}, "", `failed calling webhook "w": webhook configuration must have either service or URL`},
		"no URL":                         {file, at(":"), "", `failed calling webhook "w": Unparsable URL: `},
	} {
		clients, err := New(services{})
		if err != nil {
			t.Fatal(err)
		}
		if err := clients.Authenticate(c.file); err != nil {
			t.Fatal(err)
		}
		cfg, err := clients.config("w", c.hook)
		if (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) || err == nil && cfg.BearerToken != c.token {
			t.Errorf("%s: %v, %v", name, cfg, err)
		}
	}

	clients := &Clients{}
	if err := clients.Authenticate(file); err != nil {
		t.Fatal(err)
	}
	all, err := clients.config("w", at("https://all.org"))
	if err != nil || all.Username != "u" || all.Password != "p" || all.CertFile != filepath.Join(dir, "cert") || all.KeyFile != filepath.Join(dir, "key") ||
		all.Impersonate.UserName != "a" || len(all.Impersonate.Groups) != 1 {
		t.Errorf("all that there is: %v, %v", all, err)
	}
	if kept, err := clients.config("w", service("hooks", 8443)); err != nil || kept.BearerTokenFile != filepath.Join(dir, "kept") {
		t.Errorf("the file of a token: %v, %v", kept, err)
	}
}
