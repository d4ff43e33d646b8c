package volume

import (
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// maxEnvFile is the size of the largest file that an environment is read from.
const maxEnvFile = 1 << 20

// EnvFile answers how to read files of the pod's emptyDir volumes, for environment.Input. Containers write
// these files, so neither a link out of the volume nor a pipe nor an endless file is read.
func (m *Manager) EnvFile(pod *corev1.Pod) func(volume, path string) ([]byte, error) {
	return func(volume, path string) ([]byte, error) {
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if v.Name != volume {
				continue
			}
			if v.EmptyDir == nil {
				return nil, fmt.Errorf("volume %q is not an emptyDir: an environment is only read from those", volume)
			}
			base, err := m.Path(pod.UID, v)
			if err != nil {
				return nil, err
			}
			return readBeneath(base, path)
		}
		return nil, fmt.Errorf("cannot find volume %q: list it in spec.volumes", volume)
	}
}

func readBeneath(base, path string) ([]byte, error) {
	at, err := openBeneath(base, path)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	info, err := at.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	// What was opened as a path is opened again for reading: the same file, wherever its name leads now.
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", at.Fd()))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err == nil && len(data) > maxEnvFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxEnvFile)
	}
	return data, err
}
