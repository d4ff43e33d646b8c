// Package environment makes what a container finds around it apart from volumes: its environment
// variables, /etc/hosts and the termination log.
package environment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/downward"
	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

// Input is what a container's environment is made of.
type Input struct {
	Pod         *corev1.Pod // its status tells the addresses of pod and node
	Container   *corev1.Container
	Objects     object.Objects
	Services    []*corev1.Service // of the pod's namespace, and default/kubernetes
	Allocatable corev1.ResourceList
	// EnvFile reads a file of one of the pod's volumes, for fileKeyRef. An absent file gives an error for
	// which errors.Is(err, fs.ErrNotExist) holds. It may be nil when the pod has no fileKeyRef.
	EnvFile func(volume, path string) ([]byte, error)
	// Warn, which may be nil, takes an event of type Warning about the pod.
	Warn func(reason, message string)
}

// builder collects variables. Each name stands once; a later value replaces an earlier one.
type builder struct {
	Input
	services map[string]string
	values   map[string]string // from envFrom and env; has precedence over services
	order    []string
}

// Build answers the container's environment. Precedence rises from service variables over envFrom to env;
// the values of env may refer to everything before them as $(NAME).
func Build(ctx context.Context, in Input) ([]*cri.KeyValue, error) {
	b := &builder{Input: in, values: map[string]string{}, services: map[string]string{}}
	links := in.Pod.Spec.EnableServiceLinks == nil || *in.Pod.Spec.EnableServiceLinks
	variables := serviceVariables(in.Services, in.Pod.Namespace, links)
	for _, v := range variables {
		b.services[v.Key] = string(v.Value)
	}
	for i := range in.Container.EnvFrom {
		if err := b.from(ctx, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.Container.Env {
		if err := b.add(ctx, &in.Container.Env[i]); err != nil {
			return nil, err
		}
	}
	var env []*cri.KeyValue
	for _, v := range variables {
		if _, replaced := b.values[v.Key]; !replaced {
			env = append(env, v)
		}
	}
	for _, name := range b.order {
		env = append(env, &cri.KeyValue{Key: name, Value: []byte(b.values[name])})
	}
	return env, nil
}

func (b *builder) set(name, value string) {
	if _, has := b.values[name]; !has {
		b.order = append(b.order, name)
	}
	b.values[name] = value
}

// lookup is what $(name) stands for.
func (b *builder) lookup(name string) (string, bool) {
	if v, ok := b.values[name]; ok {
		return v, true
	}
	v, ok := b.services[name]
	return v, ok
}

// from adds all keys of a ConfigMap or Secret.
func (b *builder) from(ctx context.Context, f *corev1.EnvFromSource) error {
	data, kind, name := map[string]string{}, "", ""
	switch {
	case f.ConfigMapRef != nil:
		kind, name = "configMap", f.ConfigMapRef.Name
		c, err := b.Objects.ConfigMap(ctx, b.Pod.Namespace, name)
		if err != nil {
			return unlessOptional(err, f.ConfigMapRef.Optional)
		}
		data = c.Data
	case f.SecretRef != nil:
		kind, name = "secret", f.SecretRef.Name
		s, err := b.Objects.Secret(ctx, b.Pod.Namespace, name)
		if err != nil {
			return unlessOptional(err, f.SecretRef.Optional)
		}
		for k, v := range s.Data {
			data[k] = string(v)
		}
	}
	var skipped []string
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if len(validation.IsRelaxedEnvVarName(f.Prefix+k)) > 0 {
			skipped = append(skipped, f.Prefix+k)
			continue
		}
		b.set(f.Prefix+k, data[k])
	}
	if len(skipped) > 0 && b.Warn != nil {
		b.Warn("InvalidEnvironmentVariableNames", fmt.Sprintf("Keys [%s] from the EnvFrom %s %s/%s were skipped since they are considered invalid environment variable names.",
			strings.Join(skipped, ", "), kind, b.Pod.Namespace, name))
	}
	return nil
}

// add adds one entry of env.
func (b *builder) add(ctx context.Context, e *corev1.EnvVar) error {
	if e.ValueFrom == nil || e.Value != "" {
		b.set(e.Name, expand(e.Value, b.lookup))
		return nil
	}
	value, has, err := b.value(ctx, e.ValueFrom)
	if has && err == nil {
		b.set(e.Name, value)
	}
	return err
}

// value answers where a variable's value comes from; has is false for an optional source that is absent.
func (b *builder) value(ctx context.Context, from *corev1.EnvVarSource) (value string, has bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = downward.Field(b.Pod, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = downward.Resource(b.Pod, b.Container.Name, from.ResourceFieldRef, b.Allocatable)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		c, err := b.Objects.ConfigMap(ctx, b.Pod.Namespace, r.Name)
		if err != nil {
			return "", false, unlessOptional(err, r.Optional)
		}
		if value, has = c.Data[r.Key]; !has && !optional(r.Optional) {
			err = fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", r.Key, b.Pod.Namespace, r.Name)
		}
		return value, has, err
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		s, err := b.Objects.Secret(ctx, b.Pod.Namespace, r.Name)
		if err != nil {
			return "", false, unlessOptional(err, r.Optional)
		}
		data, has := s.Data[r.Key]
		if !has && !optional(r.Optional) {
			err = fmt.Errorf("couldn't find key %v in Secret %v/%v", r.Key, b.Pod.Namespace, r.Name)
		}
		return string(data), has, err
	case from.FileKeyRef != nil:
		return b.fileKey(from.FileKeyRef)
	}
	return "", true, nil
}

func optional(flag *bool) bool { return flag != nil && *flag }

func unlessOptional(err error, flag *bool) error {
	if apierrors.IsNotFound(err) && optional(flag) {
		return nil
	}
	return err
}
