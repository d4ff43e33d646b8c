package validation

import (
	"net"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// PortNumber refuses numbers that no port has.
func PortNumber(path *field.Path, port int32) field.ErrorList {
	return Invalid(path, port, utilvalidation.IsValidPortNum(int(port)))
}

// Address judges an IP address in a field that once took sloppy ones; those that stood before stay good.
func Address(path *field.Path, value string, before ...string) field.ErrorList {
	return utilvalidation.IsValidIPForLegacyField(path, value, true, before)
}

// Network judges a network in CIDR notation in a field that once took sloppy ones.
func Network(path *field.Path, value string, before ...string) field.ErrorList {
	return utilvalidation.IsValidCIDRForLegacyField(path, value, true, before)
}

// NotSpecialIP refuses addresses to which traffic must not be led: of the host itself, of the link, none.
func NotSpecialIP(path *field.Path, value string) field.ErrorList {
	ip := netutils.ParseIPSloppy(value)
	if ip == nil {
		return field.ErrorList{field.Invalid(path, value, "must be a valid IP address")}
	}
	var faults field.ErrorList
	for _, rule := range []struct {
		hit  func(net.IP) bool
		text string
	}{
		{net.IP.IsUnspecified, "may not be unspecified (" + value + ")"},
		{net.IP.IsLoopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
		{net.IP.IsLinkLocalUnicast, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
		{net.IP.IsLinkLocalMulticast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	} {
		if rule.hit(ip) {
			faults = append(faults, field.Invalid(path, value, rule.text))
		}
	}
	return faults
}
