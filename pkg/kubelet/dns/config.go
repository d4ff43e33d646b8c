// Package dns decides a pod's resolver configuration and host name. Apart from reading the node's
// resolv.conf it is pure.
package dns

import (
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// The limits of a pod's resolver configuration.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// Node is what the kubelet is configured with.
type Node struct {
	ClusterDNS    []string // addresses of the cluster's resolvers
	ClusterDomain string   // for example cluster.local
	ResolvConf    string   // path of the file that policy Default takes over; empty: pods resolve nothing by it
	HostIPs       []string // addresses of the node; their families decide the loopback when ResolvConf is empty
}

// Config answers the resolver configuration of pod by its dnsPolicy and dnsConfig. A warning is meant for
// an event of type Warning with the reason that stands before its message.
func Config(pod *corev1.Pod, node Node) (*cri.DNSConfig, []Warning, error) {
	host := &cri.DNSConfig{}
	if node.ResolvConf != "" {
		f, err := os.ReadFile(node.ResolvConf)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the node's resolver configuration: %w", err)
		}
		if host, err = parse(string(f)); err != nil {
			return nil, nil, fmt.Errorf("encountered error while parsing resolv conf file %s: %w", node.ResolvConf, err)
		}
	}
	c, warnings := decide(pod, node, host)
	return c, warnings, nil
}

// Warning is an event to record.
type Warning struct{ Reason, Message string }

// decide is Config without the file.
func decide(pod *corev1.Pod, node Node, host *cri.DNSConfig) (*cri.DNSConfig, []Warning) {
	var warnings []Warning
	var c *cri.DNSConfig
	switch policy := policyOf(pod); {
	case policy == corev1.DNSNone:
		c = &cri.DNSConfig{}
	case policy == corev1.DNSClusterFirst && len(node.ClusterDNS) > 0:
		c = &cri.DNSConfig{
			Servers:  slices.Clone(node.ClusterDNS),
			Searches: clusterSearches(pod.Namespace, node.ClusterDomain, host.Searches),
			Options:  []string{"ndots:5"},
		}
	default:
		if policy == corev1.DNSClusterFirst {
			warnings = append(warnings, Warning{"MissingClusterDNS", fmt.Sprintf(
				"pod: %q. kubelet does not have ClusterDNS IP configured and cannot create Pod using %q policy. Falling back to %q policy.",
				fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID), corev1.DNSClusterFirst, corev1.DNSDefault)})
		}
		if c = host; node.ResolvConf == "" {
			c = &cri.DNSConfig{Servers: loopbacks(node.HostIPs), Searches: []string{"."}}
		}
	}
	if own := pod.Spec.DNSConfig; own != nil {
		c = merge(c, own)
	}
	return limit(c, warnings)
}

// policyOf reduces the policies to three: None, Default, ClusterFirst.
func policyOf(pod *corev1.Pod) corev1.DNSPolicy {
	switch p := pod.Spec.DNSPolicy; {
	case p == corev1.DNSNone, p == corev1.DNSDefault:
		return p
	case p == corev1.DNSClusterFirst && pod.Spec.HostNetwork:
		return corev1.DNSDefault
	}
	return corev1.DNSClusterFirst
}

func clusterSearches(namespace, domain string, host []string) []string {
	if domain == "" {
		return host
	}
	return distinct(append([]string{namespace + ".svc." + domain, "svc." + domain, domain}, host...))
}

func loopbacks(hostIPs []string) []string {
	var all []string
	for _, ip := range hostIPs {
		if strings.Contains(ip, ":") {
			all = append(all, "::1")
		} else {
			all = append(all, "127.0.0.1")
		}
	}
	if len(all) == 0 {
		return []string{"127.0.0.1"}
	}
	return distinct(all)
}

// merge adds a pod's own dnsConfig; of the same option the pod's value counts.
func merge(c *cri.DNSConfig, own *corev1.PodDNSConfig) *cri.DNSConfig {
	merged := &cri.DNSConfig{
		Servers:  distinct(slices.Concat(c.Servers, own.Nameservers)),
		Searches: distinct(slices.Concat(c.Searches, own.Searches)),
	}
	var options []string
	for _, o := range own.Options {
		if o.Value != nil && *o.Value != "" {
			options = append(options, o.Name+":"+*o.Value)
		} else {
			options = append(options, o.Name)
		}
	}
	merged.Options = mergeOptions(c.Options, options)
	return merged
}

// mergeOptions adds later options to earlier ones; of the same name the latest counts.
func mergeOptions(earlier, later []string) []string {
	name := func(option string) string { n, _, _ := strings.Cut(option, ":"); return n }
	all := slices.Concat(earlier, later)
	var kept []string
	for i, o := range all {
		if !slices.ContainsFunc(all[i+1:], func(l string) bool { return name(l) == name(o) }) {
			kept = append(kept, o)
		}
	}
	return kept
}

// limit cuts what resolvers do not take, and says so.
func limit(c *cri.DNSConfig, warnings []Warning) (*cri.DNSConfig, []Warning) {
	out := &cri.DNSConfig{Servers: c.Servers, Searches: fitting(c.Searches), Options: c.Options}
	if len(c.Servers) > maxNameservers {
		out.Servers = c.Servers[:maxNameservers]
		warnings = append(warnings, Warning{"DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: " + strings.Join(out.Servers, " ")})
	}
	if len(out.Searches) != len(c.Searches) {
		warnings = append(warnings, Warning{"DNSConfigForming", "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: " + strings.Join(out.Searches, " ")})
	}
	return out, warnings
}

// fitting keeps the first searches that resolvers take: not too many, none too long (some C libraries
// abort on one), and not too long together.
func fitting(searches []string) []string {
	var kept []string
	length := 0
	for _, s := range searches[:min(len(searches), maxSearches)] {
		if len(s) > validation.DNS1123SubdomainMaxLength {
			continue
		}
		if len(kept) > 0 {
			length++
		}
		if length += len(s); length > maxSearchChars {
			break
		}
		kept = append(kept, s)
	}
	return kept
}

func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
