// Package guard puts together who may do what in the apiserver, as its flags say: authentication,
// authorization, admission, service account tokens, and the objects that these need from the start.
package guard

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/sampan-project/sampan/pkg/apiserver/authz/chain"
)

// Options are the flags, by upstream's names.
type Options struct {
	Anonymous       bool
	ClientCAFile    string
	TokenFile       string
	BootstrapTokens bool
	Audiences       []string

	ProxyClientCAFile  string
	ProxyAllowedNames  []string
	ProxyUserHeaders   []string
	ProxyUIDHeaders    []string
	ProxyGroupHeaders  []string
	ProxyExtraHeaders  []string
	AccountIssuers     []string
	AccountKeyFiles    []string
	AccountSigningKey  string
	AccountJWKSURI     string
	AccountLookup      bool
	AccountExtend      bool
	AccountMaxLife     time.Duration
	Modes              []string
	EnablePlugins      []string
	DisablePlugins     []string
	AdmissionFile      string
	NotReadySeconds    int64
	UnreachableSeconds int64
}

// DefaultIssuer signs service account tokens where --service-account-issuer names nobody.
const DefaultIssuer = "https://kubernetes.default.svc.cluster.local"

// NewOptions are what stands without flags.
func NewOptions() *Options {
	return &Options{Anonymous: true, AccountLookup: true, AccountExtend: true, NotReadySeconds: 300, UnreachableSeconds: 300}
}

// AddFlags makes the flags known.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.Anonymous, "anonymous-auth", o.Anonymous, "Let requests without a credential in, as system:anonymous in the group system:unauthenticated.")
	fs.StringVar(&o.ClientCAFile, "client-ca-file", o.ClientCAFile, "Take client certificates signed by one of the authorities in this file: the common name is the user, the organizations are the groups.")
	fs.StringVar(&o.TokenFile, "token-auth-file", o.TokenFile, "Take the tokens of this CSV file: token,user,uid,\"group1,group2\".")
	fs.BoolVar(&o.BootstrapTokens, "enable-bootstrap-token-auth", o.BootstrapTokens, "Take the tokens of secrets of type bootstrap.kubernetes.io/token in kube-system.")
	fs.StringSliceVar(&o.Audiences, "api-audiences", o.Audiences, "Names of this API that a token must be for one of; the issuer of service account tokens if none is given.")

	fs.StringVar(&o.ProxyClientCAFile, "requestheader-client-ca-file", o.ProxyClientCAFile, "Believe headers about the user from clients with a certificate signed by one of the authorities in this file.")
	fs.StringSliceVar(&o.ProxyAllowedNames, "requestheader-allowed-names", o.ProxyAllowedNames, "Common names of the clients that may name users in headers; any if none is given.")
	fs.StringSliceVar(&o.ProxyUserHeaders, "requestheader-username-headers", o.ProxyUserHeaders, "Headers that name the user. X-Remote-User is common.")
	fs.StringSliceVar(&o.ProxyUIDHeaders, "requestheader-uid-headers", o.ProxyUIDHeaders, "Headers with the user's uid. X-Remote-Uid is suggested.")
	fs.StringSliceVar(&o.ProxyGroupHeaders, "requestheader-group-headers", o.ProxyGroupHeaders, "Headers with the user's groups. X-Remote-Group is suggested.")
	fs.StringSliceVar(&o.ProxyExtraHeaders, "requestheader-extra-headers-prefix", o.ProxyExtraHeaders, "Prefixes of headers with more about the user. X-Remote-Extra- is suggested.")

	fs.StringArrayVar(&o.AccountIssuers, "service-account-issuer", o.AccountIssuers, "Who issues service account tokens: the first signs, tokens of all are taken. An https URL, best one at which the discovery documents can be read.")
	fs.StringArrayVar(&o.AccountKeyFiles, "service-account-key-file", o.AccountKeyFiles, "PEM files of public or private keys, RSA or ECDSA, that verify service account tokens.")
	fs.StringVar(&o.AccountSigningKey, "service-account-signing-key-file", o.AccountSigningKey, "PEM file of the private key that signs service account tokens; made in --cert-dir if none is given.")
	fs.StringVar(&o.AccountJWKSURI, "service-account-jwks-uri", o.AccountJWKSURI, "Where the discovery document says that the keys are, if not at this server.")
	fs.BoolVar(&o.AccountLookup, "service-account-lookup", o.AccountLookup, "Refuse tokens of service accounts, pods, nodes and secrets that are gone.")
	fs.BoolVar(&o.AccountExtend, "service-account-extend-token-expiration", o.AccountExtend, "Let the tokens of injected volumes live for a year, and report their use after the hour that they should have lived.")
	fs.DurationVar(&o.AccountMaxLife, "service-account-max-token-expiration", o.AccountMaxLife, "The longest life of a service account token; a request for more gets this.")

	fs.StringSliceVar(&o.Modes, "authorization-mode", o.Modes, "Who decides what a user may do, in order: AlwaysAllow, AlwaysDeny, Node, RBAC. AlwaysAllow if none is given.")
	fs.StringSliceVar(&o.EnablePlugins, "enable-admission-plugins", o.EnablePlugins, "Admission plugins to run beside those on by default.")
	fs.StringSliceVar(&o.DisablePlugins, "disable-admission-plugins", o.DisablePlugins, "Admission plugins not to run although they are on by default.")
	fs.StringVar(&o.AdmissionFile, "admission-control-config-file", o.AdmissionFile, "File with an AdmissionConfiguration (apiserver.config.k8s.io/v1): what admission plugins are told.")
	fs.Int64Var(&o.NotReadySeconds, "default-not-ready-toleration-seconds", o.NotReadySeconds, "How long pods that do not say stay on a node that is not ready.")
	fs.Int64Var(&o.UnreachableSeconds, "default-unreachable-toleration-seconds", o.UnreachableSeconds, "How long pods that do not say stay on a node that cannot be reached.")
}

// Validate answers every fault of the flags at once.
func (o *Options) Validate() error {
	var errs []error
	if o.AccountMaxLife != 0 && (o.AccountMaxLife < time.Hour || o.AccountMaxLife > (1<<32)*time.Second) {
		errs = append(errs, errors.New("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"))
	}
	if o.NotReadySeconds < 0 || o.UnreachableSeconds < 0 {
		errs = append(errs, errors.New("the default toleration seconds must not be negative"))
	}
	if o.ProxyClientCAFile == "" && len(o.ProxyUserHeaders)+len(o.ProxyAllowedNames) > 0 {
		errs = append(errs, errors.New("the requestheader flags need --requestheader-client-ca-file"))
	}
	if o.ProxyClientCAFile != "" && len(o.ProxyUserHeaders) == 0 {
		errs = append(errs, errors.New("--requestheader-client-ca-file needs --requestheader-username-headers, for instance X-Remote-User"))
	}
	for _, m := range o.Modes {
		if !slices.Contains([]string{chain.AlwaysAllow, chain.AlwaysDeny, chain.Node, chain.RBAC}, m) {
			errs = append(errs, fmt.Errorf("authorization-mode %q is not a valid mode; use AlwaysAllow, AlwaysDeny, Node or RBAC", m))
		}
	}
	return errors.Join(errs...)
}
