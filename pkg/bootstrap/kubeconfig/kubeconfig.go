// Package kubeconfig makes the kubeconfig files of a control plane: who each member is, and where the
// apiserver answers.
package kubeconfig

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/sampan-project/sampan/pkg/bootstrap/certs"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Identity is one kubeconfig file of a control plane.
type Identity struct {
	Name   string // the phase's
	File   string
	Short  string
	User   func(s *settings.Settings) string
	Groups []string
	Server func(s *settings.Settings) string
	// Rotating names the file that holds certificate and key where these are renewed by their owner.
	Rotating string
}

// All lists the identities.
func All() []Identity {
	fixed := func(user string) func(*settings.Settings) string {
		return func(*settings.Settings) string { return user }
	}
	shared, local := (*settings.Settings).URL, (*settings.Settings).LocalURL
	return []Identity{
		{Name: "admin", File: layout.AdminConf, Short: "The administrator's kubeconfig", User: fixed("kubernetes-admin"), Groups: []string{"kubeadm:cluster-admins"}, Server: shared},
		{Name: "super-admin", File: layout.SuperAdminConf, Short: "A kubeconfig that no rule can keep out", User: fixed("kubernetes-super-admin"), Groups: []string{"system:masters"}, Server: shared},
		{Name: "kubelet", File: layout.KubeletConf, Short: "The kubelet's kubeconfig", User: func(s *settings.Settings) string { return "system:node:" + s.NodeName }, Groups: []string{"system:nodes"}, Server: shared, Rotating: layout.KubeletClient},
		{Name: "controller-manager", File: layout.ManagerConf, Short: "The controller-manager's kubeconfig", User: fixed("system:kube-controller-manager"), Server: local},
		{Name: "scheduler", File: layout.SchedulerConf, Short: "The scheduler's kubeconfig", User: fixed("system:kube-scheduler"), Server: local},
	}
}

// Ensure makes the file, or answers that the existing one is kept. An existing one that is for another
// authority or apiserver is an error.
func Ensure(s *settings.Settings, id Identity, now time.Time) (kept bool, err error) {
	ca, err := certs.LoadCA(s, "ca")
	if err != nil {
		return false, err
	}
	file := s.On(id.File)
	if have, err := clientcmd.LoadFromFile(file); err == nil {
		return true, check(have, ca, id.Server(s), file)
	} else if !os.IsNotExist(err) {
		return false, fmt.Errorf("%s cannot be used; repair or remove it: %w", file, err)
	}
	user := id.User(s)
	pair, err := ca.Sign(pki.CertSpec{
		CommonName: user, Organizations: id.Groups, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Validity: s.CertValidity, Algorithm: pki.Algorithm(s.KeyAlgorithm),
	}, now)
	if err != nil {
		return false, err
	}
	auth := &api.AuthInfo{}
	if id.Rotating != "" {
		if err := keepRotating(s.On(id.Rotating), pair, now); err != nil {
			return false, err
		}
		auth.ClientCertificate, auth.ClientKey = id.Rotating, id.Rotating
	} else {
		auth.ClientCertificateData = pair.CertificatePEM()
		if auth.ClientKeyData, err = pki.EncodeKey(pair.Key); err != nil {
			return false, err
		}
	}
	return false, Write(file, Config(s.ClusterName, id.Server(s), ca.CertificatePEM(), user, auth))
}

// keepRotating writes the pair under a dated name and points file at it, as the kubelet does when it
// renews it.
func keepRotating(file string, pair *pki.Pair, now time.Time) error {
	dated := filepath.Join(filepath.Dir(file), "kubelet-client-"+now.Format("2006-01-02-15-04-05")+".pem")
	if err := pair.WriteCombined(dated); err != nil {
		return err
	}
	_ = os.Remove(file)
	if err := os.Symlink(filepath.Base(dated), file); err != nil {
		return fmt.Errorf("naming the kubelet's current certificate: %w", err)
	}
	return nil
}

func check(have *api.Config, ca *pki.Pair, server, file string) error {
	context := have.Contexts[have.CurrentContext]
	if context == nil || have.Clusters[context.Cluster] == nil {
		return fmt.Errorf("%s names no cluster; remove it to have it made again", file)
	}
	cluster := have.Clusters[context.Cluster]
	trusted, err := pki.ParseCertificates(cluster.CertificateAuthorityData)
	if err != nil || !bytes.Equal(trusted[0].Raw, ca.Cert.Raw) {
		return fmt.Errorf("%s trusts another certificate authority than this cluster's; remove it to have it made again", file)
	}
	if cluster.Server != server {
		return fmt.Errorf("%s is for %s and not for %s; remove it to have it made again", file, cluster.Server, server)
	}
	return nil
}

// Config is a kubeconfig with one cluster, user and context.
func Config(cluster, server string, ca []byte, user string, auth *api.AuthInfo) *api.Config {
	c := api.NewConfig()
	name := user + "@" + cluster
	c.Clusters[cluster] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	c.AuthInfos[user] = auth
	c.Contexts[name] = &api.Context{Cluster: cluster, AuthInfo: user}
	c.CurrentContext = name
	return c
}

// Write writes the file, readable by its owner alone.
func Write(file string, c *api.Config) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// Client is a client by a kubeconfig file.
func Client(file string) (kubernetes.Interface, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s is not usable: %w", file, err)
	}
	cfg.QPS, cfg.UserAgent = -1, "ctl/sampan"
	return kubernetes.NewForConfig(cfg)
}
