package volume

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/kubelet/downward"
)

// defaultMode is what the apiserver would have filled in.
const defaultMode int32 = 0o644

// file is a file to be: its content and permissions, and an owner when the pod runs as one user.
type file struct {
	data []byte
	mode int32
	uid  *int64
}

// payload is the content of a volume, by path relative to it.
type payload map[string]file

func modeOr(mode *int32, fallback int32) int32 {
	if mode != nil {
		return *mode
	}
	return fallback
}

// pick adds the data that items name, or all.
func (p payload) pick(kind string, data map[string][]byte, items []corev1.KeyToPath, mode int32, optional bool) error {
	if len(items) == 0 {
		for k, v := range data {
			p[k] = file{data: v, mode: mode}
		}
		return nil
	}
	for _, i := range items {
		v, has := data[i.Key]
		if !has && optional {
			continue
		}
		if !has {
			return fmt.Errorf("references non-existent %s key: %s", kind, i.Key)
		}
		p[i.Path] = file{data: v, mode: modeOr(i.Mode, mode)}
	}
	return nil
}

func (s *setup) addConfigMap(p payload, name string, items []corev1.KeyToPath, mode int32, optional *bool) error {
	may := optional != nil && *optional
	c, err := s.Objects.ConfigMap(s.ctx, s.pod.Namespace, name)
	if apierrors.IsNotFound(err) && may {
		c, err = &corev1.ConfigMap{}, nil
	}
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for k, v := range c.Data {
		data[k] = []byte(v)
	}
	maps.Copy(data, c.BinaryData)
	return p.pick("config", data, items, mode, may)
}

func (s *setup) addSecret(p payload, name string, items []corev1.KeyToPath, mode int32, optional *bool) error {
	may := optional != nil && *optional
	secret, err := s.Objects.Secret(s.ctx, s.pod.Namespace, name)
	if apierrors.IsNotFound(err) && may {
		secret, err = &corev1.Secret{}, nil
	}
	if err != nil {
		return err
	}
	return p.pick("secret", secret.Data, items, mode, may)
}

func (s *setup) addDownward(p payload, items []corev1.DownwardAPIVolumeFile, mode int32) error {
	var failed []error
	for _, i := range items {
		var value string
		var err error
		switch {
		case i.FieldRef != nil:
			value, err = downward.Field(s.pod, i.FieldRef.FieldPath)
		case i.ResourceFieldRef != nil:
			value, err = downward.Resource(s.pod, i.ResourceFieldRef.ContainerName, i.ResourceFieldRef, s.allocatable())
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p[i.Path] = file{data: []byte(value), mode: modeOr(i.Mode, mode)}
	}
	return utilerrors.NewAggregate(failed)
}

func (s *setup) allocatable() corev1.ResourceList {
	if s.Allocatable == nil {
		return nil
	}
	return s.Allocatable()
}

func (s *setup) configMap(v *corev1.Volume, dir string) error {
	p := payload{}
	c := v.ConfigMap
	if err := s.addConfigMap(p, c.Name, c.Items, modeOr(c.DefaultMode, defaultMode), c.Optional); err != nil {
		return err
	}
	return s.publish(dir, false, p)
}

func (s *setup) secret(v *corev1.Volume, dir string) error {
	p := payload{}
	c := v.Secret
	if err := s.addSecret(p, c.SecretName, c.Items, modeOr(c.DefaultMode, defaultMode), c.Optional); err != nil {
		return err
	}
	return s.publish(dir, true, p)
}

func (s *setup) downwardAPI(v *corev1.Volume, dir string) error {
	p := payload{}
	if err := s.addDownward(p, v.DownwardAPI.Items, modeOr(v.DownwardAPI.DefaultMode, defaultMode)); err != nil {
		return err
	}
	return s.publish(dir, true, p)
}
