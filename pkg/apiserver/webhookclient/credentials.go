package webhookclient

import (
	"errors"
	"net"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Authenticate has webhooks called with the credentials of a kubeconfig, whose users are named for the webhooks'
// HOST:PORT, without the port where it is 443; *.DOMAIN stands for all in a domain, and * for all. Where none of these
// fits, it is the current context's user. Without a file there are no credentials.
func (c *Clients) Authenticate(kubeconfig string) error {
	if kubeconfig == "" {
		return nil
	}
	users, err := (&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}).Load()
	if err != nil {
		return err
	}
	c.users = *users
	return nil
}

// credentials gives a new configuration that has those for HOST:PORT, and nothing else.
func (c *Clients) credentials(target string) (*rest.Config, error) {
	names := inDomains(target)
	if host, port, err := net.SplitHostPort(target); err == nil && port == "443" {
		names = append(names, inDomains(host)...)
	}
	names = append(names, "*")
	if current := c.users.Contexts[c.users.CurrentContext]; current != nil {
		names = append(names, current.AuthInfo)
	}
	for _, name := range names {
		if user := c.users.AuthInfos[name]; user != nil {
			return as(user)
		}
	}
	return &rest.Config{}, nil
}

// inDomains are the names for a host, from the most to the least specific.
func inDomains(host string) []string {
	names := []string{host}
	for {
		_, domain, inside := strings.Cut(host, ".")
		if !inside {
			return names
		}
		names, host = append(names, "*."+domain), domain
	}
}

func as(user *clientcmdapi.AuthInfo) (*rest.Config, error) {
	if user.AuthProvider != nil {
		return nil, errors.New("auth provider not supported")
	}
	cfg := &rest.Config{
		BearerToken: user.Token, BearerTokenFile: user.TokenFile, Username: user.Username, Password: user.Password,
		ExecProvider: user.Exec.DeepCopy(),
	}
	if user.Token == "" && user.TokenFile != "" {
		token, err := os.ReadFile(user.TokenFile)
		if err != nil {
			return nil, err
		}
		cfg.BearerToken = string(token)
	}
	if user.Impersonate != "" {
		cfg.Impersonate = rest.ImpersonationConfig{
			UserName: user.Impersonate, UID: user.ImpersonateUID,
			Groups: user.ImpersonateGroups, Extra: user.ImpersonateUserExtra,
		}
	}
	if user.ClientCertificate != "" || len(user.ClientCertificateData) > 0 {
		cfg.CertFile, cfg.CertData = user.ClientCertificate, user.ClientCertificateData
		cfg.KeyFile, cfg.KeyData = user.ClientKey, user.ClientKeyData
	}
	return cfg, nil
}
