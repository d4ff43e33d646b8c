package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/containernetworking/cni/pkg/types"
)

// Where things lie if the configuration does not say.
const (
	defaultSubnetFile = "/run/flannel/subnet.env"
	defaultDataDir    = "/var/lib/cni/flannel"
)

// config is the plugin's own part of a network configuration.
type config struct {
	Name       string `json:"name"`
	CNIVersion string `json:"cniVersion"`
	// SubnetFile is what flanneld writes, and DataDir where the plugin remembers what it delegated.
	SubnetFile string `json:"subnetFile"`
	DataDir    string `json:"dataDir"`
	// Delegate is the configuration of the plugin that does the work, as far as it is not made here.
	Delegate map[string]any `json:"delegate"`
	// IPAM is the base of that plugin's address management.
	IPAM          map[string]any  `json:"ipam"`
	RuntimeConfig json.RawMessage `json:"runtimeConfig"`
	PrevResult    json.RawMessage `json:"prevResult"`
}

func parseConfig(input []byte) (config, error) {
	c := config{SubnetFile: defaultSubnetFile, DataDir: defaultDataDir}
	if err := json.Unmarshal(input, &c); err != nil {
		return config{}, types.NewError(types.ErrDecodingFailure, "the network configuration is not valid", err.Error())
	}
	for _, own := range []string{"name", "ipam"} {
		if _, given := c.Delegate[own]; given {
			return config{}, invalid("delegate.%s is set by the plugin: leave it out", own)
		}
	}
	if kind, given := c.Delegate["type"]; given {
		if name, ok := kind.(string); !ok || name == "" {
			return config{}, invalid("delegate.type is the name of a plugin, such as \"bridge\"")
		}
	}
	return c, nil
}

func invalid(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}

// delegate returns the plugin that does the work for a pod on this node and the configuration it gets.
func (c config) delegate(s subnet) (string, []byte, error) {
	d := map[string]any{"type": "bridge", "mtu": s.mtu, "ipMasq": !s.masquerades} // one of the two masquerades
	maps.Copy(d, c.Delegate)
	kind := d["type"].(string)
	if _, given := d["isGateway"]; !given && kind == "bridge" {
		d["isGateway"] = true
	}
	d["name"] = c.Name
	if c.CNIVersion != "" {
		d["cniVersion"] = c.CNIVersion
	}
	if c.RuntimeConfig != nil {
		d["runtimeConfig"] = c.RuntimeConfig
	}
	ipam, err := c.addresses(s)
	if err != nil {
		return "", nil, err
	}
	d["ipam"] = ipam
	content, err := json.Marshal(d)
	return kind, content, err
}

// addresses makes the pod's address come from this node's part of the network, and the network reachable.
func (c config) addresses(s subnet) (map[string]any, error) {
	ipam := map[string]any{"type": "host-local"}
	maps.Copy(ipam, c.IPAM)
	var routes []any
	if given, ok := ipam["routes"]; ok {
		if routes, ok = given.([]any); !ok {
			return nil, invalid("ipam.routes is a list of routes")
		}
	}
	for _, network := range s.networks {
		routes = append(routes, map[string]string{"dst": network.String()})
	}
	ipam["routes"] = routes
	var ranges [][]map[string]string // one set for each family: a pod gets an address of each
	for _, own := range s.subnets {
		ranges = append(ranges, []map[string]string{{"subnet": own.String()}})
	}
	ipam["ranges"] = ranges
	return ipam, nil
}

// withPrevResult adds the result of an earlier ADD to a remembered configuration: CHECK compares with it.
func withPrevResult(remembered, result []byte) (string, []byte, error) {
	var d map[string]json.RawMessage
	if err := json.Unmarshal(remembered, &d); err != nil {
		return "", nil, err
	}
	var kind string
	if err := json.Unmarshal(d["type"], &kind); err != nil || kind == "" {
		return "", nil, errors.Join(errors.New("it names no plugin"), err)
	}
	if result != nil {
		d["prevResult"] = result
	}
	content, err := json.Marshal(d)
	return kind, content, err
}
