package plugins

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// TestOnlyListedSecretsAreMounted: an account that asks for it holds pods to the secrets that it lists, when they are
// made, and containers that come later when those come.
func TestOnlyListedSecretsAreMounted(t *testing.T) {
	cfg := &Config{Access: resourcetest.New()}
	account := &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", Annotations: map[string]string{enforceMountable: "true"}},
		Secrets:    []corev1.ObjectReference{{Name: "listed"}},
	}
	if _, err := cfg.Access.Create(t.Context(), schema.GroupResource{Resource: "serviceaccounts"}, account); err != nil {
		t.Fatal(err)
	}
	from := func(secret string) []corev1.EnvFromSource {
		return []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}
	}
	pod := func(first, later string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{
			ServiceAccountName:  "a",
			Containers:          []corev1.Container{{Name: "c", EnvFrom: from(first)}},
			EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", EnvFrom: from(later)}}},
		}}
	}
	for name, c := range map[string]struct {
		op          admission.Operation
		subresource string
		pod         *corev1.Pod
		refusal     string
	}{
		"made with what is listed":     {admission.Create, "", pod("listed", "listed"), ""},
		"made with what is not":        {admission.Create, "", pod("other", "listed"), `container c with envFrom referencing secret.secretName="other"`},
		"joined with what is listed":   {admission.Update, "ephemeralcontainers", pod("other", "listed"), ""},
		"joined with what is not":      {admission.Update, "ephemeralcontainers", pod("listed", "other"), `ephemeral container e with envFrom referencing secret.secretName="other"`},
		"changed in what matters not":  {admission.Update, "", pod("other", "other"), ""},
		"its status, which has no say": {admission.Update, "status", pod("other", "other"), ""},
	} {
		a := &admission.Attributes{Operation: c.op, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Subresource: c.subresource, Namespace: "n", Name: "p", Object: c.pod}
		err := serviceAccount(cfg).Validate(t.Context(), a)
		if c.refusal == "" && err != nil || c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)) {
			t.Errorf("a pod %s: %v", name, err)
		}
	}
}
