package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	tokens "github.com/sampan-project/sampan/pkg/apiserver/serviceaccount"
	"github.com/sampan-project/sampan/pkg/podrefs"
)

const (
	defaultAccount = "default"
	// tokenMountPath is where every client library looks for its credentials.
	tokenMountPath   = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolume      = "kube-api-access-"
	rootCAConfigMap  = "kube-root-ca.crt"
	enforceMountable = "kubernetes.io/enforce-mountable-secrets"
	// accountWait is how long a pod waits for the default account of a namespace that has just been made.
	accountWait  = time.Second
	accountRetry = 50 * time.Millisecond
)

// serviceAccount gives every pod an account, and a volume with the account's token.
func serviceAccount(cfg *Config) admission.Plugin {
	s := &accounts{cfg}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: s.admit, Validate: s.validate}
}

type accounts struct{ cfg *Config }

func (s *accounts) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !a.Is("", "pods", "") || a.Operation != admission.Create {
		return nil
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return s.validate(ctx, a) // what the kubelet says of its own pods must stay as it is
	}
	pod.Spec.ServiceAccountName = cmp.Or(pod.Spec.ServiceAccountName, defaultAccount)
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := s.account(ctx, a.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return admission.Forbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err))
	}
	if automount(account, pod) {
		s.mountToken(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return nil
}

func automount(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	if pod.Spec.AutomountServiceAccountToken != nil {
		return *pod.Spec.AutomountServiceAccountToken
	}
	return account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
}

// account waits a little for the default account, which a controller makes.
func (s *accounts) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	deadline := time.Now().Add(accountWait)
	for {
		account, err := find[*corev1.ServiceAccount](ctx, s.cfg.Access, schema.GroupResource{Resource: "serviceaccounts"}, namespace, name)
		if !apierrors.IsNotFound(err) {
			return account, err
		}
		if name != defaultAccount || time.Now().After(deadline) {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(accountRetry):
		}
	}
}

// mountToken adds the volume to the pod, and a mount of it to every container that has nothing at that
// path yet.
func (s *accounts) mountToken(pod *corev1.Pod) {
	name := ""
	if i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenVolume) }); i >= 0 {
		name = pod.Spec.Volumes[i].Name
	}
	exists := name != ""
	if !exists {
		name = tokenVolume + s.cfg.Rnd(5)
	}
	mounted := false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if slices.ContainsFunc(list[i].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenMountPath }) {
				continue
			}
			list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath})
			mounted = true
		}
	}
	if mounted && !exists {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenProjection()}})
	}
}

// tokenProjection is the token, the authority to trust, and the namespace's name.
func tokenProjection() *corev1.ProjectedVolumeSource {
	mode, seconds := corev1.ProjectedVolumeSourceDefaultMode, int64(tokens.ExtendableSeconds)
	return &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCAConfigMap},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}
}

func (s *accounts) validate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || a.Operation != admission.Create && a.Subresource != "ephemeralcontainers" || !a.Is("", "pods", a.Subresource) {
		return nil
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror && a.Operation == admission.Create {
		return validateMirror(a, pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		return admission.Forbidden(a, fmt.Errorf("no service account specified for pod %s/%s", a.Namespace, pod.Name))
	}
	account, err := s.account(ctx, a.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return admission.Forbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err))
	}
	if account.Annotations[enforceMountable] != "true" {
		return nil
	}
	if a.Subresource == "ephemeralcontainers" { // the others were judged when they came, by what the account listed then
		pod = &corev1.Pod{Spec: corev1.PodSpec{EphemeralContainers: pod.Spec.EphemeralContainers}}
	}
	if err := onlyMountable(account, pod); err != nil {
		return admission.Forbidden(a, err)
	}
	return nil
}

func validateMirror(a *admission.Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return admission.Forbidden(a, errors.New("a mirror pod may not reference service accounts"))
	}
	if len(podrefs.Secrets(pod)) > 0 {
		return admission.Forbidden(a, errors.New("a mirror pod may not reference secrets"))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				return admission.Forbidden(a, errors.New("a mirror pod may not use service account token volume projections"))
			}
		}
	}
	return nil
}

// onlyMountable holds a pod to the secrets that its account lists, where the account asks for it.
func onlyMountable(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	listed := map[string]bool{}
	for _, r := range account.Secrets {
		listed[r.Name] = true
	}
	pulls := map[string]bool{}
	for _, r := range account.ImagePullSecrets {
		pulls[r.Name] = true
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil && !listed[v.Secret.SecretName] {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", v.Secret.SecretName, account.Name)
		}
	}
	var err error
	of := func(kind string, c *corev1.Container) {
		if err == nil {
			err = onlyListed(kind, c, listed, account.Name)
		}
	}
	for i := range pod.Spec.InitContainers {
		of("init container", &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		of("container", &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		of("ephemeral container", &c)
	}
	if err != nil {
		return err
	}
	for i, r := range pod.Spec.ImagePullSecrets {
		if !pulls[r.Name] {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, r.Name, account.Name)
		}
	}
	bare := pod.DeepCopy()
	bare.Spec.ImagePullSecrets = nil
	for _, name := range podrefs.Secrets(bare) {
		if !listed[name] {
			return fmt.Errorf("secret %q is not allowed because service account %s does not reference that secret", name, account.Name)
		}
	}
	return nil
}

// onlyListed holds the environment of a container to the secrets that are listed.
func onlyListed(kind string, c *corev1.Container, listed map[string]bool, account string) error {
	for _, v := range c.Env {
		if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil || listed[v.ValueFrom.SecretKeyRef.Name] {
			continue
		}
		return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			kind, c.Name, v.Name, v.ValueFrom.SecretKeyRef.Name, account)
	}
	for _, from := range c.EnvFrom {
		if from.SecretRef == nil || listed[from.SecretRef.Name] {
			continue
		}
		return fmt.Errorf("%s %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			kind, c.Name, from.SecretRef.Name, account)
	}
	return nil
}
