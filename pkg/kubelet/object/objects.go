// Package object gives the kubelet the ConfigMaps and Secrets that its pods refer to, and only those: a
// node may not see any other. It must not know what they are used for.
package object

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Objects answers with the newest known state of an object that a pod refers to. What is returned is
// shared and must not be changed. An object that does not exist gives an error for which
// apierrors.IsNotFound holds.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Fixed is a set of objects that does not change by itself: for static pods' kubelets without an apiserver,
// and for tests.
type Fixed struct {
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
}

// ConfigMap implements Objects.
func (f *Fixed) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	for _, c := range f.ConfigMaps {
		if c.Namespace == namespace && c.Name == name {
			return c, nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource(configMaps.singular), name)
}

// Secret implements Objects.
func (f *Fixed) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	for _, s := range f.Secrets {
		if s.Namespace == namespace && s.Name == name {
			return s, nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource(secrets.singular), name)
}
