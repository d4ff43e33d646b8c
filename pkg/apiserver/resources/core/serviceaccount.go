package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// mountableSecretsAnnotation once limited a service account's pods to its own secrets.
const mountableSecretsAnnotation = "kubernetes.io/enforce-mountable-secrets"

// ServiceAccount declares serviceaccounts. subresources are those that need more than the object: token.
func ServiceAccount(subresources ...resource.Subresource[*corev1.ServiceAccount]) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.ServiceAccount]{
		Kind:          corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Plural:        "serviceaccounts",
		ShortNames:    []string{"sa"},
		WholeUpdate:   true,
		ReturnDeleted: true,
		Prepare: func(_ context.Context, obj, _ *corev1.ServiceAccount) {
			for i := range obj.Secrets {
				obj.Secrets[i] = corev1.ObjectReference{Name: obj.Secrets[i].Name}
			}
		},
		Warn: func(_ context.Context, obj, old *corev1.ServiceAccount) []string {
			_, now := obj.Annotations[mountableSecretsAnnotation]
			before := false
			if old != nil {
				_, before = old.Annotations[mountableSecretsAnnotation]
			}
			if now && !before {
				return []string{"metadata.annotations[" + mountableSecretsAnnotation +
					"]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
			}
			return nil
		},
		Columns: []metav1.TableColumnDefinition{column.Name(), column.Age()},
		Row: func(obj *corev1.ServiceAccount) []any {
			return []any{obj.Name, column.Since(obj.CreationTimestamp)}
		},
		Subresources: subresources,
	})
}
