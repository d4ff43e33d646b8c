package environment

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

const hostsPath = "/etc/hosts"

// HostsMount writes content as the pod's hosts file under podDir (<root>/pods/<uid>) and answers its
// mount into c; nil when c mounts something of its own there.
func HostsMount(podDir string, c *corev1.Container, content []byte) (*cri.Mount, error) {
	for _, m := range c.VolumeMounts {
		if filepath.Clean(m.MountPath) == hostsPath {
			return nil, nil
		}
	}
	file := filepath.Join(podDir, "etc-hosts")
	if err := os.MkdirAll(podDir, 0o750); err != nil {
		return nil, fmt.Errorf("making the pod's directory: %w", err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		return nil, fmt.Errorf("writing the pod's hosts file: %w", err)
	}
	if err := os.Chmod(file, 0o644); err != nil { // whatever the umask is
		return nil, fmt.Errorf("writing the pod's hosts file: %w", err)
	}
	return &cri.Mount{ContainerPath: hostsPath, HostPath: file}, nil
}

// TerminationLog makes the file that c writes its termination message to, new for each start of the
// container, and answers its mount; nil when c has no path for it. random are bytes that make its name.
func TerminationLog(podDir string, c *corev1.Container, random [4]byte) (*cri.Mount, error) {
	if c.TerminationMessagePath == "" {
		return nil, nil
	}
	dir := filepath.Join(podDir, "containers", c.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the container's directory: %w", err)
	}
	file := filepath.Join(dir, hex.EncodeToString(random[:]))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, fmt.Errorf("making the termination log: %w", err)
	}
	defer f.Close()
	if err := f.Chmod(0o666); err != nil { // any user of the container may write to it
		return nil, fmt.Errorf("making the termination log: %w", err)
	}
	return &cri.Mount{ContainerPath: c.TerminationMessagePath, HostPath: file}, nil
}
