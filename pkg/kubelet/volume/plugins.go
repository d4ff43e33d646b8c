package volume

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// plugin is one type of volume.
type plugin struct {
	name     string // as in the path on disk, kubernetes.io~<name>
	is       func(*corev1.VolumeSource) bool
	setUp    func(s *setup, v *corev1.Volume, dir string) error
	readOnly bool // containers may not write, whatever they ask for
}

// plugins are the types of volumes that the kubelet makes. A new type is a line here.
var plugins = []*plugin{
	{"empty-dir", func(v *corev1.VolumeSource) bool { return v.EmptyDir != nil }, (*setup).emptyDir, false},
	{"host-path", func(v *corev1.VolumeSource) bool { return v.HostPath != nil }, (*setup).hostPath, false},
	{"configmap", func(v *corev1.VolumeSource) bool { return v.ConfigMap != nil }, (*setup).configMap, true},
	{"secret", func(v *corev1.VolumeSource) bool { return v.Secret != nil }, (*setup).secret, true},
	{"downward-api", func(v *corev1.VolumeSource) bool { return v.DownwardAPI != nil }, (*setup).downwardAPI, true},
	{"projected", func(v *corev1.VolumeSource) bool { return v.Projected != nil }, (*setup).projected, true},
}

// setup is one run of Setup.
type setup struct {
	*Manager
	ctx       context.Context
	pod       *corev1.Pod
	refreshAt time.Time // the earliest of the tokens'
}

func (s *setup) volume(v *corev1.Volume) error {
	p, err := pluginOf(v)
	if err != nil {
		return err
	}
	return p.setUp(s, v, s.dir(s.pod.UID, p, v.Name))
}

// usedVolumes are the volumes that a container mounts or takes its environment from. The others are not
// made: what they need may not exist.
func usedVolumes(pod *corev1.Pod) map[string]bool {
	used := map[string]bool{}
	for _, c := range everyContainer(pod) {
		for _, m := range c.VolumeMounts {
			used[m.Name] = true
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
				used[e.ValueFrom.FileKeyRef.VolumeName] = true
			}
		}
	}
	return used
}

func pluginOf(v *corev1.Volume) (*plugin, error) {
	for _, p := range plugins {
		if p.is(&v.VolumeSource) {
			return p, nil
		}
	}
	if v.GitRepo != nil {
		return nil, errors.New("gitRepo volumes are disabled: clone the repository into an emptyDir, in an init container")
	}
	return nil, errors.New("no volume plugin matched: use emptyDir, hostPath, configMap, secret, downwardAPI or projected")
}
