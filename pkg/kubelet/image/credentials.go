package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// login is one entry of a Docker configuration.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// credentials are those of the pod's secrets that are for ref's registry, the most special first.
func (m *Manager) credentials(ctx context.Context, p *corev1.Pod, ref name.Reference) []*cri.AuthConfig {
	type match struct {
		prefix string
		auth   *cri.AuthConfig
	}
	var found []match
	for _, named := range p.Spec.ImagePullSecrets {
		if m.Objects == nil || named.Name == "" {
			continue
		}
		secret, err := m.Objects.Secret(ctx, p.Namespace, named.Name)
		if err != nil {
			m.Event(p, "", corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				"Unable to retrieve some image pull secrets ("+named.Name+"); attempting to pull the image may not succeed.")
			continue
		}
		for registry, l := range logins(secret) {
			if matches(registry, ref) {
				found = append(found, match{registry, l.auth(registry)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return strings.Compare(b.prefix, a.prefix) })
	out := make([]*cri.AuthConfig, len(found))
	for i := range found {
		out[i] = found[i].auth
	}
	return out
}

func logins(secret *corev1.Secret) map[string]login {
	var out map[string]login
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		var file struct {
			Auths map[string]login `json:"auths"`
		}
		_ = json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file) // a broken secret holds no login
		out = file.Auths
	case corev1.SecretTypeDockercfg:
		_ = json.Unmarshal(secret.Data[corev1.DockerConfigKey], &out)
	}
	return out
}

func (l login) auth(registry string) *cri.AuthConfig {
	a := &cri.AuthConfig{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken,
		RegistryToken: l.RegistryToken, ServerAddress: registry}
	if a.Username == "" && l.Auth != "" {
		if plain, err := base64.StdEncoding.DecodeString(strings.TrimRight(l.Auth, "\x00")); err == nil {
			a.Username, a.Password, _ = strings.Cut(string(plain), ":")
		}
	}
	return a
}

// matches says whether an entry for registry, "host[:port][/path]" with * in the parts of the host, is for
// ref.
func matches(registry string, ref name.Reference) bool {
	registry = strings.TrimPrefix(strings.TrimPrefix(registry, "https://"), "http://")
	host, prefix, _ := strings.Cut(registry, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	wanted := ref.Context().RegistryStr()
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	if host == name.DefaultRegistry && (prefix == "v1" || prefix == "v2") {
		prefix = ""
	}
	return hostMatches(host, wanted) && strings.HasPrefix(ref.Context().RepositoryStr(), prefix)
}

func hostMatches(pattern, host string) bool {
	patternName, patternPort, _ := strings.Cut(pattern, ":")
	hostName, hostPort, _ := strings.Cut(host, ":")
	if patternPort != hostPort {
		return false
	}
	a, b := strings.Split(patternName, "."), strings.Split(hostName, ".")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if ok, err := path.Match(a[i], b[i]); !ok || err != nil {
			return false
		}
	}
	return true
}
