package bootstrap

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
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
	return append(namespaces, r.record.Namespaces...)
}

// remember notes network namespaces of pods that the runtime could not remove: once the runtime's own state is gone,
// nothing else tells a later reset of them.
func (r *Reset) remember(paths []string) error {
	for _, p := range paths {
		if ns := cniNamespace(p); ns != "" && !slices.Contains(r.record.Namespaces, ns) {
			r.record.Namespaces = append(r.record.Namespaces, ns)
		}
	}
	if len(r.record.Namespaces) == 0 || !record.Exists(r.Layout) {
		return nil
	}
	return r.record.Write()
}

// detach removes the namespaces that are remembered.
func (r *Reset) detach() (err error) {
	for _, ns := range r.record.Namespaces {
		err = errors.Join(err, host.RemoveNamespace(ns))
	}
	return err
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
	return cniNamespace(kept.NetNS)
}

// cniNamespace is the path of a network namespace that CNI's users have made, "" for any other.
func cniNamespace(path string) string {
	ns := filepath.Clean(strings.Replace(path, "/var/run/", "/run/", 1))
	if !strings.HasPrefix(ns, "/run/netns/cni-") {
		return ""
	}
	return ns
}
