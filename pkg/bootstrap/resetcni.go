package bootstrap

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// podNetwork is the name of the pod network in the configurations that we install. Other networks of this
// machine (another runtime's, for instance) are not ours to touch.
const podNetwork = "cbr0"

// cniDir is where CNI's plugins keep what they must remember.
const cniDir = "/var/lib/cni"

// cniState are the places where plugins remember the pod network's addresses and pods.
func cniState() []string {
	return []string{
		filepath.Join(cniDir, "networks", podNetwork), filepath.Join(cniDir, "results", podNetwork+"-*"), filepath.Join(cniDir, "flannel"),
	}
}

// attached are the network namespaces of pods of the pod network that plugins remember.
func (r *Reset) attached() (namespaces []string) {
	files, _ := filepath.Glob(r.On(filepath.Join(cniDir, "results", podNetwork+"-*")))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // gone meanwhile
		}
		if ns := namespaceOf(data); ns != "" {
			namespaces = append(namespaces, ns)
		}
	}
	return namespaces
}

// namespaceOf reads a network namespace's path from what a plugin's result was kept as, "" where it is none
// that CNI's users make.
func namespaceOf(result []byte) string {
	var kept struct {
		NetNS string `json:"netns"`
	}
	if json.Unmarshal(result, &kept) != nil {
		return ""
	}
	ns := filepath.Clean(strings.Replace(kept.NetNS, "/var/run/", "/run/", 1))
	if !strings.HasPrefix(ns, "/run/netns/cni-") {
		return ""
	}
	return ns
}
