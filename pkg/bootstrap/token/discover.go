package token

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/certs"
	"github.com/sampan-project/sampan/pkg/pki"
)

// errUnsigned says that cluster-info bears no signature by a token yet, or no more.
var errUnsigned = errors.New("the cluster does not know the token (it may have run out): make another with: ctl token create --print-join-command")

// Discover finds the cluster that answers at server and proves by the token, and by the authority's hash, that
// it is the right one. It waits for a token that was just made to be signed with, as long as ctx lasts.
func Discover(ctx context.Context, c clock.WithTicker, server, token string, hashes []string, skip bool) (*api.Cluster, error) {
	ticker := c.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	unsigned := false
	for {
		cluster, err := discover(ctx, server, token, hashes, skip)
		if ctx.Err() != nil && unsigned {
			return nil, errUnsigned
		}
		if err == nil || !errors.Is(err, errUnsigned) {
			return cluster, err
		}
		unsigned = true
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return nil, err
		}
	}
}

func discover(ctx context.Context, server, token string, hashes []string, skip bool) (*api.Cluster, error) {
	// The first answer comes from who knows whom; it counts only once the token has vouched for it.
	unknown := &rest.Config{Host: "https://" + server, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, Timeout: 10 * time.Second, QPS: -1}
	info, err := clusterInfo(ctx, unknown)
	if err != nil {
		return nil, err
	}
	config, cluster, err := verified(info, token)
	if err != nil {
		return nil, err
	}
	authorities, err := pki.ParseCertificates(cluster.CertificateAuthorityData)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority in cluster-info: %w", err)
	}
	if !skip && !slices.ContainsFunc(hashes, func(h string) bool { return strings.EqualFold(h, certs.Hash(authorities[0])) }) {
		return nil, fmt.Errorf("the cluster at %s has the certificate authority %s, which is none of --discovery-token-ca-cert-hash: it is not the cluster that was meant", server, certs.Hash(authorities[0]))
	}
	known := &rest.Config{Host: "https://" + server, TLSClientConfig: rest.TLSClientConfig{CAData: cluster.CertificateAuthorityData}, Timeout: 10 * time.Second, QPS: -1}
	again, err := clusterInfo(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("the second look, by the cluster's own authority: %w", err)
	}
	if !bytes.Equal([]byte(again.Data["kubeconfig"]), config) {
		return nil, fmt.Errorf("the cluster at %s answered differently when asked securely: something stands between it and this machine", server)
	}
	return cluster, nil
}

func clusterInfo(ctx context.Context, cfg *rest.Config) (*corev1.ConfigMap, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	info, err := client.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading cluster-info from %s (is this the address of an apiserver, and can it be reached from here?): %w", cfg.Host, err)
	}
	return info, nil
}

// verified checks the token's signature on cluster-info, and reads the cluster in it.
func verified(info *corev1.ConfigMap, token string) ([]byte, *api.Cluster, error) {
	id, secret, _ := strings.Cut(token, ".")
	content := []byte(info.Data["kubeconfig"])
	signature := info.Data["jws-kubeconfig-"+id]
	if signature == "" {
		return nil, nil, errUnsigned
	}
	if !signed(content, signature, id, secret) {
		return nil, nil, errors.New("the token did not sign what this cluster says of itself: its second half is wrong, or this is another cluster")
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster-info: %w", err)
	}
	for _, cluster := range config.Clusters {
		return content, cluster, nil
	}
	return nil, nil, errors.New("cluster-info names no cluster")
}

// signed checks a detached signature by HMAC with SHA-256 (RFC 7515). A token's secret is shorter than
// libraries want of a key.
func signed(content []byte, signature, id, secret string) bool {
	protected, mac, ok := strings.Cut(signature, "..")
	header, err := base64.RawURLEncoding.DecodeString(protected)
	if !ok || err != nil {
		return false
	}
	var says struct{ Alg, Kid string }
	if json.Unmarshal(header, &says) != nil || says.Alg != "HS256" || says.Kid != id {
		return false
	}
	have, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil {
		return false
	}
	want := hmac.New(sha256.New, []byte(secret))
	want.Write([]byte(protected + "." + base64.RawURLEncoding.EncodeToString(content)))
	return hmac.Equal(have, want.Sum(nil))
}

// FromFile reads the cluster from a kubeconfig file, and the token if it has one.
func FromFile(file string) (*api.Cluster, string, error) {
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("--discovery-file: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	if current != nil && config.Clusters[current.Cluster] != nil {
		token := ""
		if user := config.AuthInfos[current.AuthInfo]; user != nil {
			token = user.Token
		}
		return config.Clusters[current.Cluster], token, nil
	}
	for _, cluster := range config.Clusters {
		return cluster, "", nil
	}
	return nil, "", fmt.Errorf("--discovery-file: %s names no cluster", file)
}
