package settings

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// tokenForm is what a bootstrap token looks like.
var tokenForm = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// CheckToken refuses what is no bootstrap token.
func CheckToken(flag, token string) error {
	if token != "" && !tokenForm.MatchString(token) {
		return fmt.Errorf("%s is not a bootstrap token: write 6 and 16 lower-case letters or digits with a dot between, or make one with: ctl token generate", flag)
	}
	return nil
}

// CompleteNode fills in what is known of this machine, and checks the flags that init and join share.
func (s *Settings) CompleteNode() error {
	if s.NodeName == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this host's name is unknown (give one with --node-name): %w", err)
		}
		s.NodeName = host
	}
	s.NodeName = strings.ToLower(s.NodeName)
	if errs := validation.IsDNS1123Subdomain(s.NodeName); len(errs) > 0 {
		return fmt.Errorf("%q cannot be a node's name (give another with --node-name): %s", s.NodeName, errs[0])
	}
	s.NodeIP = cmp.Or(s.NodeIP, s.Advertise)
	if s.NodeIP == "" {
		s.NodeIP = ownAddress()
	}
	if net.ParseIP(s.NodeIP) == nil {
		return fmt.Errorf("--node-ip is %q: give an IP address", s.NodeIP)
	}
	if !strings.HasPrefix(s.CRISocket, "unix://") {
		s.CRISocket = "unix://" + s.CRISocket
	}
	switch s.CgroupDriver {
	case "", "cgroupfs", "systemd":
	default:
		return fmt.Errorf("--cgroup-driver is %q: use cgroupfs or systemd", s.CgroupDriver)
	}
	return s.completeDirs()
}

// completeDirs finds our own files from where this program is: beside it, or in share beside its bin.
func (s *Settings) completeDirs() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own directory (give --bin-dir and --image-dir): %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return fmt.Errorf("finding this program's own directory (give --bin-dir and --image-dir): %w", err)
	}
	own := filepath.Dir(self)
	for _, d := range []*string{&s.BinDir, &s.ImageDir} {
		if *d != "" {
			if *d, err = filepath.Abs(*d); err != nil {
				return err
			}
		}
	}
	s.BinDir = cmp.Or(s.BinDir, own)
	if s.ImageDir != "" {
		return nil
	}
	for _, dir := range []string{filepath.Join(own, "..", "out", "images"), filepath.Join(own, "..", "share", "sampan", "images")} {
		s.ImageDir = filepath.Clean(dir)
		if _, err := os.Stat(dir); err == nil {
			break
		}
	}
	return nil
}

// CompleteInit fills in what follows from other settings, and checks init's flags. Every fault is told.
func (s *Settings) CompleteInit() error {
	if s.Advertise == "" {
		s.Advertise = ownAddress()
	}
	if net.ParseIP(s.Advertise) == nil {
		return fmt.Errorf("--apiserver-advertise-address is %q: give an IP address", s.Advertise)
	}
	if err := s.CompleteNode(); err != nil {
		return err
	}
	var errs []error
	if s.Port < 1 || s.Port > 65535 {
		errs = append(errs, fmt.Errorf("--apiserver-bind-port is %d: use 1 to 65535", s.Port))
	}
	errs = append(errs, s.completeEndpoint(), s.checkNetworks(), s.checkVersion(), s.checkEtcd(), CheckToken("--token", s.Token))
	for _, t := range s.ExtraToken {
		errs = append(errs, CheckToken("bootstrapTokens", t.Token))
	}
	for _, p := range []*string{&s.CertDir, &s.DataDir} {
		if *p != "" && !filepath.IsAbs(*p) {
			errs = append(errs, fmt.Errorf("%q is not an absolute path, which --cert-dir and --data-dir must be", *p))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) completeEndpoint() error {
	if s.Endpoint == "" {
		s.Endpoint = net.JoinHostPort(s.Advertise, strconv.Itoa(s.Port))
		return nil
	}
	host, port, err := net.SplitHostPort(s.Endpoint)
	if err != nil {
		host, port = strings.Trim(s.Endpoint, "[]"), strconv.Itoa(s.Port)
	}
	if net.ParseIP(host) == nil && len(validation.IsDNS1123Subdomain(host)) > 0 {
		return fmt.Errorf("--control-plane-endpoint is %q: give a name or address, with a port if it is not %d", s.Endpoint, s.Port)
	}
	s.Endpoint = net.JoinHostPort(host, port)
	return nil
}

func (s *Settings) checkNetworks() error {
	var errs []error
	for flag, cidr := range map[string]string{"--pod-network-cidr": s.PodCIDR, "--service-cidr": s.ServiceCIDR} {
		for c := range strings.SplitSeq(cidr, ",") {
			if _, err := netip.ParsePrefix(c); err != nil {
				errs = append(errs, fmt.Errorf("%s is %q: give a network like 10.244.0.0/16", flag, cidr))
			}
		}
	}
	if len(errs) == 0 && overlap(s.PodCIDR, s.ServiceCIDR) {
		errs = append(errs, fmt.Errorf("--pod-network-cidr %s and --service-cidr %s overlap: choose networks apart from each other", s.PodCIDR, s.ServiceCIDR))
	}
	switch s.PodNetwork {
	case Flannel, Bridge, None:
	default:
		errs = append(errs, fmt.Errorf("--pod-network-addon is %q: use %s, %s or %s", s.PodNetwork, Flannel, Bridge, None))
	}
	if d := validation.IsDNS1123Subdomain(s.DNSDomain); len(d) > 0 {
		errs = append(errs, fmt.Errorf("--service-dns-domain is %q: %s", s.DNSDomain, d[0]))
	}
	return errors.Join(errs...)
}

func overlap(a, b string) bool {
	for x := range strings.SplitSeq(a, ",") {
		for y := range strings.SplitSeq(b, ",") {
			if netip.MustParsePrefix(x).Overlaps(netip.MustParsePrefix(y)) {
				return true
			}
		}
	}
	return false
}

func (s *Settings) checkVersion() error {
	v := "v" + strings.TrimPrefix(s.Version, "v")
	if v != "vstable-1" && !strings.HasPrefix(v, "v1.36.") {
		return fmt.Errorf("--kubernetes-version is %s: this program makes clusters of %s", s.Version, Version)
	}
	s.Version = Version
	return nil
}

func (s *Settings) checkEtcd() error {
	if !s.External() {
		if s.CAFile+s.CertFile+s.KeyFile != "" {
			return errors.New("--etcd-cafile, --etcd-certfile and --etcd-keyfile need --etcd-servers")
		}
		return nil
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return errors.New("--etcd-certfile and --etcd-keyfile go together")
	}
	for _, e := range s.Endpoints {
		if !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
			return fmt.Errorf("--etcd-servers holds %q: write https://HOST:2379", e)
		}
	}
	return nil
}

// CompleteJoin checks join's flags; server is its argument.
func (s *Settings) CompleteJoin(server string) error {
	if err := s.CompleteNode(); err != nil {
		return err
	}
	set(&s.Server, server)
	s.DiscoveryToken = cmp.Or(s.DiscoveryToken, s.Token)
	s.TLSToken = cmp.Or(s.TLSToken, s.Token, s.DiscoveryToken)
	if s.DiscoveryFile != "" {
		return CheckToken("--tls-bootstrap-token", s.TLSToken)
	}
	if s.Server == "" {
		return errors.New("say which cluster to join: ctl join HOST:6443 --token ... (ctl token create --print-join-command prints the whole line on a machine of the cluster)")
	}
	if _, _, err := net.SplitHostPort(s.Server); err != nil {
		return fmt.Errorf("%q is not an apiserver's address: write HOST:PORT, for instance 192.168.1.10:6443", s.Server)
	}
	if s.DiscoveryToken == "" {
		return errors.New("--token is missing: make one on a machine of the cluster with: ctl token create --print-join-command")
	}
	if len(s.CAHashes) == 0 && !s.SkipCACheck {
		return errors.New("--discovery-token-ca-cert-hash is missing: it proves which cluster answers (ctl token create --print-join-command prints it)")
	}
	return errors.Join(CheckToken("--discovery-token", s.DiscoveryToken), CheckToken("--tls-bootstrap-token", s.TLSToken))
}

// ownAddress is the address that the default route leaves by; no packet is sent to find it.
func ownAddress() string {
	for _, to := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", to)
		if err != nil {
			continue
		}
		defer func() { _ = conn.Close() }()
		return conn.LocalAddr().(*net.UDPAddr).IP.String()
	}
	return "127.0.0.1"
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return first
}
