package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// tlsVersions are those of tlsMinVersion; older ones are spoken by nobody, and count as 1.2.
var tlsVersions = map[string]uint16{
	"": tls.VersionTLS12, "VersionTLS10": tls.VersionTLS12, "VersionTLS11": tls.VersionTLS12,
	"VersionTLS12": tls.VersionTLS12, "VersionTLS13": tls.VersionTLS13,
}

// TLS is the oldest version that the kubelet's port speaks, and its cipher suites; none: Go's choice.
func (c *Config) TLS() (version uint16, suites []uint16, err error) {
	version, ok := tlsVersions[c.Kubelet.TLSMinVersion]
	if !ok {
		return 0, nil, invalid("tlsMinVersion (--tls-min-version)", c.Kubelet.TLSMinVersion, "must be VersionTLS12 or VersionTLS13")
	}
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, name := range c.Kubelet.TLSCipherSuites {
		i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			names := make([]string, 0, len(known))
			for _, s := range tls.CipherSuites() {
				names = append(names, s.Name)
			}
			return 0, nil, fmt.Errorf("invalid configuration: tlsCipherSuites (--tls-cipher-suites) %s is not known: choose of %s", name, strings.Join(names, ", "))
		}
		suites = append(suites, known[i].ID)
	}
	return version, suites, nil
}
