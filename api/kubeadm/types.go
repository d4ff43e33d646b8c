// Package kubeadm holds the wire types of the configuration files that ctl init and ctl join read:
// kubeadm's v1beta4 kinds, with the fields that mean something here. It knows files, and nothing of what is
// done with them.
package kubeadm

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIVersion is the version of the kinds in this package.
const APIVersion = "kubeadm.k8s.io/v1beta4"

// Names of the kinds in this package.
const (
	KindInit    = "InitConfiguration"
	KindCluster = "ClusterConfiguration"
	KindJoin    = "JoinConfiguration"
)

// InitConfiguration says how this machine becomes the first of a cluster.
type InitConfiguration struct {
	metav1.TypeMeta  `json:",inline"`
	BootstrapTokens  []BootstrapToken `json:"bootstrapTokens,omitempty"`
	NodeRegistration NodeRegistration `json:"nodeRegistration,omitempty"`
	LocalAPIEndpoint APIEndpoint      `json:"localAPIEndpoint,omitempty"`
	SkipPhases       []string         `json:"skipPhases,omitempty"`
}

// ClusterConfiguration says what the whole cluster agrees on. It is kept in the ConfigMap kubeadm-config.
type ClusterConfiguration struct {
	metav1.TypeMeta             `json:",inline"`
	Etcd                        Etcd             `json:"etcd,omitempty"`
	Networking                  Networking       `json:"networking,omitempty"`
	KubernetesVersion           string           `json:"kubernetesVersion,omitempty"`
	ControlPlaneEndpoint        string           `json:"controlPlaneEndpoint,omitempty"`
	APIServer                   APIServer        `json:"apiServer,omitempty"`
	ControllerManager           Component        `json:"controllerManager,omitempty"`
	Scheduler                   Component        `json:"scheduler,omitempty"`
	DNS                         AddOn            `json:"dns,omitempty"`
	Proxy                       AddOn            `json:"proxy,omitempty"`
	CertificatesDir             string           `json:"certificatesDir,omitempty"`
	ImageRepository             string           `json:"imageRepository,omitempty"`
	ClusterName                 string           `json:"clusterName,omitempty"`
	EncryptionAlgorithm         string           `json:"encryptionAlgorithm,omitempty"`
	CertificateValidityPeriod   *metav1.Duration `json:"certificateValidityPeriod,omitempty"`
	CACertificateValidityPeriod *metav1.Duration `json:"caCertificateValidityPeriod,omitempty"`
}

// JoinConfiguration says how this machine joins a cluster.
type JoinConfiguration struct {
	metav1.TypeMeta  `json:",inline"`
	NodeRegistration NodeRegistration `json:"nodeRegistration,omitempty"`
	CACertPath       string           `json:"caCertPath,omitempty"`
	Discovery        Discovery        `json:"discovery,omitempty"`
	SkipPhases       []string         `json:"skipPhases,omitempty"`
}

// Component is a daemon of the control plane.
type Component struct {
	ExtraArgs []Arg `json:"extraArgs,omitempty"`
}

// APIServer is the apiserver.
type APIServer struct {
	Component `json:",inline"`
	CertSANs  []string `json:"certSANs,omitempty"`
}

// AddOn is a part that runs in the cluster.
type AddOn struct {
	Disabled bool `json:"disabled,omitempty"`
}

// Arg is a flag of a daemon, without its dashes.
type Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Etcd is where the cluster's data is: in the apiserver's own etcd (Local), or in a cluster elsewhere.
type Etcd struct {
	Local    *LocalEtcd    `json:"local,omitempty"`
	External *ExternalEtcd `json:"external,omitempty"`
}

// LocalEtcd is the etcd in the apiserver's process.
type LocalEtcd struct {
	DataDir string `json:"dataDir,omitempty"`
}

// ExternalEtcd is an etcd cluster.
type ExternalEtcd struct {
	Endpoints []string `json:"endpoints"`
	CAFile    string   `json:"caFile,omitempty"`
	CertFile  string   `json:"certFile,omitempty"`
	KeyFile   string   `json:"keyFile,omitempty"`
}

// Networking are the cluster's networks and its domain.
type Networking struct {
	ServiceSubnet string `json:"serviceSubnet,omitempty"`
	PodSubnet     string `json:"podSubnet,omitempty"`
	DNSDomain     string `json:"dnsDomain,omitempty"`
}

// NodeRegistration says how a machine presents itself as a node.
type NodeRegistration struct {
	Name             string         `json:"name,omitempty"`
	CRISocket        string         `json:"criSocket,omitempty"`
	Taints           []corev1.Taint `json:"taints"` // null: what fits the node's role; empty: none
	KubeletExtraArgs []Arg          `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflight  []string       `json:"ignorePreflightErrors,omitempty"`
}

// APIEndpoint is where an apiserver answers.
type APIEndpoint struct {
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	BindPort         int    `json:"bindPort,omitempty"`
}

// BootstrapToken is a token that lets nodes join.
type BootstrapToken struct {
	Token       string           `json:"token"`
	Description string           `json:"description,omitempty"`
	TTL         *metav1.Duration `json:"ttl,omitempty"`
	Usages      []string         `json:"usages,omitempty"`
	Groups      []string         `json:"groups,omitempty"`
}

// Discovery says how a joining machine comes to trust the cluster.
type Discovery struct {
	BootstrapToken    *TokenDiscovery `json:"bootstrapToken,omitempty"`
	File              *FileDiscovery  `json:"file,omitempty"`
	TLSBootstrapToken string          `json:"tlsBootstrapToken,omitempty"`
}

// TokenDiscovery trusts what a token signed.
type TokenDiscovery struct {
	Token                    string   `json:"token"`
	APIServerEndpoint        string   `json:"apiServerEndpoint,omitempty"`
	CACertHashes             []string `json:"caCertHashes,omitempty"`
	UnsafeSkipCAVerification bool     `json:"unsafeSkipCAVerification,omitempty"`
}

// FileDiscovery trusts a kubeconfig file.
type FileDiscovery struct {
	KubeConfigPath string `json:"kubeConfigPath"`
}
