package volume

import (
	"errors"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/utils/ptr"
)

// defaultTokenSeconds is what the apiserver would have filled in.
const defaultTokenSeconds int64 = 3600

func (s *setup) projected(v *corev1.Volume, dir string) error {
	p, mode := payload{}, modeOr(v.Projected.DefaultMode, defaultMode)
	var failed []error
	for i := range v.Projected.Sources {
		if err := s.addSource(p, &v.Projected.Sources[i], mode); err != nil {
			failed = append(failed, err)
		}
	}
	if err := utilerrors.NewAggregate(failed); err != nil {
		return err
	}
	return s.publish(dir, true, p)
}

func (s *setup) addSource(p payload, v *corev1.VolumeProjection, mode int32) error {
	switch {
	case v.ConfigMap != nil:
		return s.addConfigMap(p, v.ConfigMap.Name, v.ConfigMap.Items, mode, v.ConfigMap.Optional)
	case v.Secret != nil:
		return s.addSecret(p, v.Secret.Name, v.Secret.Items, mode, v.Secret.Optional)
	case v.DownwardAPI != nil:
		return s.addDownward(p, v.DownwardAPI.Items, mode)
	case v.ServiceAccountToken != nil:
		return s.addToken(p, v.ServiceAccountToken, mode)
	case v.ClusterTrustBundle != nil:
		if o := v.ClusterTrustBundle.Optional; o != nil && *o {
			p[v.ClusterTrustBundle.Path] = file{mode: mode}
			return nil
		}
		return errors.New("ClusterTrustBundle projection is not enabled on this node: make the source optional, or mount the bundle from a ConfigMap")
	case v.PodCertificate != nil:
		return errors.New("pod certificate projection is not enabled on this node: mount the certificate from a Secret")
	}
	return nil
}

// addToken adds a token that dies with the pod. It is readable to the pod's user only, when there is one.
func (s *setup) addToken(p payload, t *corev1.ServiceAccountTokenProjection, mode int32) error {
	if s.Tokens == nil {
		return errors.New("service account tokens need an apiserver, and this kubelet has none")
	}
	seconds := ptr.Deref(t.ExpirationSeconds, defaultTokenSeconds)
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: s.pod.Name, UID: s.pod.UID},
	}}
	if t.Audience != "" {
		r.Spec.Audiences = []string{t.Audience}
	}
	account := s.pod.Spec.ServiceAccountName
	answer, err := s.Tokens.Token(s.ctx, s.pod.Namespace, account, r)
	if err != nil {
		return err
	}
	if at := s.Tokens.RefreshAt(s.pod.Namespace, account, r); !at.IsZero() && (s.refreshAt.IsZero() || at.Before(s.refreshAt)) {
		s.refreshAt = at
	}
	user := userOf(s.pod)
	if user != nil || s.fsGroup() != nil {
		mode = 0o600
	}
	p[t.Path] = file{data: []byte(answer.Status.Token), mode: mode, uid: user}
	return nil
}

func (s *setup) fsGroup() *int64 {
	if c := s.pod.Spec.SecurityContext; c != nil {
		return c.FSGroup
	}
	return nil
}

// userOf is the user that all containers of the pod run as, if they do.
func userOf(pod *corev1.Pod) *int64 {
	var common *int64
	if c := pod.Spec.SecurityContext; c != nil {
		common = c.RunAsUser
	}
	var user *int64
	for i, c := range everyContainer(pod) {
		own := common
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			own = c.SecurityContext.RunAsUser
		}
		if own == nil || i > 0 && *own != *user {
			return nil
		}
		user = own
	}
	return user
}

// everyContainer are the pod's init, ordinary and ephemeral containers.
func everyContainer(pod *corev1.Pod) []*corev1.Container {
	var all []*corev1.Container
	for i := range pod.Spec.InitContainers {
		all = append(all, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		all = append(all, &c)
	}
	return all
}
