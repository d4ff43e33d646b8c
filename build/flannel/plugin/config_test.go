package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

const subnetEnv = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"

func TestDelegatedConfiguration(t *testing.T) {
	const both = subnetEnv + "FLANNEL_IPV6_NETWORK=fd00::/56\nFLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\n"
	for _, c := range []struct{ name, subnet, config, want string }{
		{
			"a bridge by default", subnetEnv, `{"name":"cbr0","type":"flannel","cniVersion":"1.0.0"}`,
			`{"name":"cbr0","cniVersion":"1.0.0","type":"bridge","mtu":1450,"ipMasq":false,"isGateway":true,"ipam":{"type":"host-local",
			  "ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}]}}`,
		},
		{
			"the plugin masquerades if flanneld does not", strings.Replace(subnetEnv, "true", "false", 1), `{"name":"n"}`,
			`{"name":"n","type":"bridge","mtu":1450,"ipMasq":true,"isGateway":true,"ipam":{"type":"host-local",
			  "ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}]}}`,
		},
		{
			"what is given stays", subnetEnv,
			`{"name":"n","delegate":{"mtu":1400,"ipMasq":true,"isGateway":false,"hairpinMode":true},"runtimeConfig":{"mac":"x"}}`,
			`{"name":"n","type":"bridge","mtu":1400,"ipMasq":true,"isGateway":false,"hairpinMode":true,"runtimeConfig":{"mac":"x"},
			  "ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}]}}`,
		},
		{
			"another plugin and address manager", subnetEnv,
			`{"name":"n","delegate":{"type":"ipvlan","master":"eth0"},"ipam":{"type":"other","routes":[{"dst":"0.0.0.0/0"}]}}`,
			`{"name":"n","type":"ipvlan","master":"eth0","mtu":1450,"ipMasq":false,"ipam":{"type":"other",
			  "ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"10.244.0.0/16"}]}}`,
		},
		{
			"addresses of both families", both, `{"name":"n"}`,
			`{"name":"n","type":"bridge","mtu":1450,"ipMasq":false,"isGateway":true,"ipam":{"type":"host-local",
			  "ranges":[[{"subnet":"10.244.1.0/24"}],[{"subnet":"fd00:0:0:1::/64"}]],"routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00::/56"}]}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseSubnet(c.subnet)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parseConfig([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			_, content, err := parsed.delegate(s)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(content, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %s\nwant %s", content, c.want)
			}
		})
	}
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	for config, want := range map[string]uint{
		`{`:                         types.ErrDecodingFailure,
		`{"delegate":{"name":"x"}}`: types.ErrInvalidNetworkConfig,
		`{"delegate":{"ipam":{}}}`:  types.ErrInvalidNetworkConfig,
		`{"delegate":{"type":7}}`:   types.ErrInvalidNetworkConfig,
	} {
		_, err := parseConfig([]byte(config))
		var cni *types.Error
		if !errors.As(err, &cni) || cni.Code != want {
			t.Errorf("%s: error %v, want code %d", config, err, want)
		}
	}
}

func TestIncompleteSubnetFileIsRefused(t *testing.T) {
	for _, missing := range []string{"FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU"} {
		content := strings.Replace(subnetEnv, missing+"=", "OTHER=", 1)
		if _, err := parseSubnet(content); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: error %v", missing, err)
		}
	}
	if _, err := parseSubnet(strings.Replace(subnetEnv, "10.244.1.1/24", "10.244.1.1", 1)); err == nil || !strings.Contains(err.Error(), "FLANNEL_SUBNET") {
		t.Errorf("with a subnet that is none: error %v", err)
	}
}
