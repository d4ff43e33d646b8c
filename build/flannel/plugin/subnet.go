package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// subnet is what flanneld says about this node.
type subnet struct {
	// networks are the whole cluster's, of either family, and subnets this node's.
	networks, subnets []netip.Prefix
	mtu               int
	// masquerades says that flanneld hides pods' addresses from the world outside, so that the plugin need not.
	masquerades bool
}

// readSubnet reads the file of flanneld. Until flanneld has written it, the runtime shall try again.
func readSubnet(file string) (subnet, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return subnet{}, types.NewError(types.ErrTryAgainLater, "flanneld has not yet written "+file,
			"look at the flannel pod of this node: kubectl -n kube-flannel get pods -o wide")
	}
	if err != nil {
		return subnet{}, types.NewError(types.ErrIOFailure, "reading what flanneld says about this node", err.Error())
	}
	s, err := parseSubnet(string(content))
	if err != nil {
		return subnet{}, types.NewError(types.ErrInvalidNetworkConfig, "reading "+file, err.Error())
	}
	return s, nil
}

func parseSubnet(content string) (subnet, error) {
	var s subnet
	for line := range strings.Lines(content) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		if err := s.set(key, value); err != nil {
			return subnet{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	switch {
	case len(s.networks) == 0:
		return subnet{}, errors.New("FLANNEL_NETWORK and FLANNEL_IPV6_NETWORK are missing")
	case len(s.subnets) == 0:
		return subnet{}, errors.New("FLANNEL_SUBNET and FLANNEL_IPV6_SUBNET are missing")
	case s.mtu == 0:
		return subnet{}, errors.New("FLANNEL_MTU is missing")
	}
	return s, nil
}

func (s *subnet) set(key, value string) (err error) {
	switch key {
	case "FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK":
		s.networks, err = appendPrefixes(s.networks, value)
	case "FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET":
		s.subnets, err = appendPrefixes(s.subnets, value)
	case "FLANNEL_MTU":
		s.mtu, err = strconv.Atoi(value)
	case "FLANNEL_IPMASQ":
		s.masquerades, err = strconv.ParseBool(value)
	}
	return err
}

// appendPrefixes reads prefixes with commas between them. flanneld writes the bridge's address as the subnet's.
func appendPrefixes(list []netip.Prefix, value string) ([]netip.Prefix, error) {
	for _, v := range strings.Split(value, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(v))
		if err != nil {
			return nil, err
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
