package volume

import (
	"fmt"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Mounts answers what the runtime mounts into c for its volumeMounts. env is the container's environment,
// for subPathExpr. Only volumes that Setup has made can be mounted. It may be called again for each start
// of the container.
func (m *Manager) Mounts(pod *corev1.Pod, c *corev1.Container, env []*cri.KeyValue) ([]*cri.Mount, error) {
	var mounts []*cri.Mount
	for i := range c.VolumeMounts {
		one, err := m.mount(pod, c, i, env)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, one)
	}
	return mounts, nil
}

func (m *Manager) mount(pod *corev1.Pod, c *corev1.Container, index int, env []*cri.KeyValue) (*cri.Mount, error) {
	vm := &c.VolumeMounts[index]
	at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == vm.Name })
	if at < 0 {
		return nil, fmt.Errorf("cannot find volume %q to mount into container %q", vm.Name, c.Name)
	}
	v := &pod.Spec.Volumes[at]
	p, err := pluginOf(v)
	if err != nil {
		return nil, fmt.Errorf("cannot find volume %q to mount into container %q: %w", vm.Name, c.Name, err)
	}
	host, err := m.Path(pod.UID, v)
	if err != nil {
		return nil, err
	}
	sub, err := subPathOf(vm, env)
	if err != nil {
		return nil, err
	}
	if sub != "" {
		target := filepath.Join(m.PodDir(pod.UID), "volume-subpaths", v.Name, c.Name, fmt.Sprint(index))
		if host, err = m.bindSubPath(host, sub, target); err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", vm.Name, c.Name, err)
		}
	}
	one := &cri.Mount{ContainerPath: vm.MountPath, HostPath: host, Readonly: vm.ReadOnly || p.readOnly}
	if !filepath.IsAbs(one.ContainerPath) {
		one.ContainerPath = filepath.Join("/", one.ContainerPath)
	}
	if one.Propagation, err = propagationOf(vm); err != nil {
		return nil, err
	}
	one.RecursiveReadOnly, err = recursiveReadOnly(vm, one.Readonly, func() bool { return m.RecursiveReadOnly != nil && m.RecursiveReadOnly(pod) })
	return one, err
}

func propagationOf(vm *corev1.VolumeMount) (cri.MountPropagation, error) {
	if vm.MountPropagation == nil {
		return cri.PropagationPrivate, nil
	}
	switch *vm.MountPropagation {
	case corev1.MountPropagationNone:
		return cri.PropagationPrivate, nil
	case corev1.MountPropagationHostToContainer:
		return cri.PropagationHostToContainer, nil
	case corev1.MountPropagationBidirectional:
		return cri.PropagationBidirectional, nil
	}
	return 0, fmt.Errorf("invalid MountPropagation mode: %q", *vm.MountPropagation)
}

// recursiveReadOnly decides whether mounts below a mount are read-only too.
func recursiveReadOnly(vm *corev1.VolumeMount, readOnly bool, supported func() bool) (bool, error) {
	if vm.RecursiveReadOnly == nil || *vm.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return false, nil
	}
	if !readOnly {
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not read-only", vm.Name)
	}
	if p := vm.MountPropagation; p != nil && *p != corev1.MountPropagationNone {
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not compatible with propagation %q", vm.Name, *p)
	}
	switch *vm.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyIfPossible:
		return supported(), nil
	case corev1.RecursiveReadOnlyEnabled:
		if !supported() {
			return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not supported by the runtime", vm.Name)
		}
		return true, nil
	}
	return false, fmt.Errorf("unknown recursive read-only mode %q", *vm.RecursiveReadOnly)
}
