package source

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/defaults"
)

// decode reads one static pod in YAML or JSON. origin is the file or URL: two of them with the same text
// are two pods.
func (s *Source) decode(data []byte, source, origin string) (*corev1.Pod, error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s is neither YAML nor JSON: %w", origin, err)
	}
	pod := &corev1.Pod{}
	unknown, err := sigsjson.UnmarshalStrict(asJSON, pod)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold a pod: %w", origin, err)
	}
	if len(unknown) > 0 {
		s.config.Log.V(2).Info("A static pod has fields that are not used", "file", origin, "fields", errors.Join(unknown...).Error())
	}
	if pod.Kind != "Pod" || pod.APIVersion != "v1" {
		return nil, fmt.Errorf("%s does not hold a pod: it is apiVersion %q, kind %q", origin, pod.APIVersion, pod.Kind)
	}
	if err := s.complete(pod, source, origin); err != nil {
		return nil, fmt.Errorf("the pod of %s cannot be static: %w", origin, err)
	}
	return pod, nil
}

// complete gives the pod what the apiserver would, its identity and its node.
func (s *Source) complete(pod *corev1.Pod, source, origin string) error {
	if pod.UID == "" {
		id, err := identity(pod, s.config.NodeName, source, origin)
		if err != nil {
			return err
		}
		pod.UID = id
	}
	if pod.Name == "" {
		return errors.New("it has no metadata.name")
	}
	pod.Name += "-" + strings.ToLower(s.config.NodeName)
	pod.Namespace = cmp.Or(pod.Namespace, metav1.NamespaceDefault)
	pod.GenerateName, pod.ResourceVersion, pod.DeletionTimestamp = "", "", nil
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	delete(pod.Annotations, AnnotationMirror)
	pod.Annotations[AnnotationSource] = source
	pod.Annotations[AnnotationHash] = string(pod.UID)
	pod.Annotations[AnnotationSeen] = s.config.Clock.Now().Format(time.RFC3339Nano)
	pod.Spec.NodeName = s.config.NodeName
	// Taints that evict are for pods that can run elsewhere.
	if !tolerates(pod, corev1.TaintEffectNoExecute) {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	}
	defaults.Pod(pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return check(pod)
}

func tolerates(pod *corev1.Pod, effect corev1.TaintEffect) bool {
	for _, t := range pod.Spec.Tolerations {
		if t.Operator == corev1.TolerationOpExists && t.Key == "" && t.Effect == effect {
			return true
		}
	}
	return false
}

// identity is the same for the same text in the same place. The digest protects nothing: its form is that
// of a UID.
func identity(pod *corev1.Pod, node, source, origin string) (types.UID, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return "", err
	}
	h := md5.New()
	_, _ = fmt.Fprintf(h, "host:%s%s:%s", node, source, origin)
	_, _ = h.Write(text)
	return types.UID(hex.EncodeToString(h.Sum(nil))), nil
}

// check refuses what could never run; the runtime and the mirror's creation find the rest.
func check(pod *corev1.Pod) error {
	if wrong := validation.IsDNS1123Subdomain(pod.Name); len(wrong) > 0 {
		return fmt.Errorf("metadata.name %q: %s", pod.Name, strings.Join(wrong, "; "))
	}
	if len(pod.Spec.Containers) == 0 {
		return errors.New("spec.containers: Required value")
	}
	names := map[string]bool{}
	for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
		if wrong := validation.IsDNS1123Label(c.Name); len(wrong) > 0 {
			return fmt.Errorf("name of container %q: %s", c.Name, strings.Join(wrong, "; "))
		}
		if names[c.Name] {
			return fmt.Errorf("two containers are named %q", c.Name)
		}
		names[c.Name] = true
		if c.Image == "" {
			return fmt.Errorf("container %q has no image", c.Name)
		}
	}
	if what := apiReference(pod); what != "" {
		return fmt.Errorf("static pods may not reference %s: they must be able to run without an apiserver", what)
	}
	return nil
}

// apiReference names a kind of objects that the pod refers to, empty where it refers to none.
func apiReference(pod *corev1.Pod) string {
	spec := &pod.Spec
	if spec.ServiceAccountName != "" {
		return "serviceaccounts"
	}
	if len(spec.ImagePullSecrets) > 0 {
		return "secrets"
	}
	if len(spec.ResourceClaims) > 0 {
		return "resourceclaims"
	}
	for _, v := range spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			return "configmaps"
		case v.Secret != nil:
			return "secrets"
		case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
			return "persistentvolumeclaims"
		case v.Projected == nil:
			continue
		}
		for _, p := range v.Projected.Sources {
			switch {
			case p.ConfigMap != nil:
				return "configmaps"
			case p.Secret != nil:
				return "secrets"
			case p.ServiceAccountToken != nil:
				return "serviceaccounts"
			case p.ClusterTrustBundle != nil:
				return "clustertrustbundles"
			}
		}
	}
	for _, c := range append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...) {
		if what := environmentReference(&c); what != "" {
			return what
		}
	}
	return ""
}

func environmentReference(c *corev1.Container) string {
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			return "configmaps"
		}
		if e.SecretRef != nil {
			return "secrets"
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			return "configmaps"
		}
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			return "secrets"
		}
	}
	return ""
}
