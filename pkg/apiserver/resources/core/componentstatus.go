package core

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Component is a part of the control plane whose health clients of old ask the apiserver for.
type Component struct {
	Name string
	// Check answers what the part says of itself, or why it is not healthy.
	Check func(ctx context.Context) (message string, err error)
}

// ComponentStatus declares what is looked at when somebody asks: whether the parts of the control plane on the
// apiserver's own machine are healthy.
func ComponentStatus(components []Component) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.ComponentStatus]{
		Kind:          corev1.SchemeGroupVersion.WithKind("ComponentStatus"),
		Plural:        "componentstatuses",
		ShortNames:    []string{"cs"},
		ClusterScoped: true,
		Deprecated:    "v1 ComponentStatus is deprecated in v1.19+",
		Observe: func(ctx context.Context, name string) ([]*corev1.ComponentStatus, error) {
			var list []*corev1.ComponentStatus
			for _, c := range components {
				if name == "" || name == c.Name {
					list = append(list, statusOf(ctx, c))
				}
			}
			if name != "" && len(list) == 0 {
				return nil, fmt.Errorf("Component not found: %s", name) //nolint:staticcheck // clients know these words
			}
			return list, nil
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Status", "Status of the component conditions"),
			column.Text("Message", "Message of the component conditions"),
			column.Text("Error", "Error of the component conditions"),
		},
		Row: componentRow,
	})
}

func statusOf(ctx context.Context, c Component) *corev1.ComponentStatus {
	healthy := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue}
	message, err := c.Check(ctx)
	healthy.Message = message
	if err != nil {
		healthy.Status, healthy.Message = corev1.ConditionFalse, err.Error()
	}
	s := &corev1.ComponentStatus{Conditions: []corev1.ComponentCondition{healthy}}
	s.Name = c.Name
	return s
}

func componentRow(s *corev1.ComponentStatus) []any {
	status, message, fault := "Unknown", "", ""
	for _, c := range s.Conditions {
		if c.Type != corev1.ComponentHealthy {
			continue
		}
		status, message, fault = "Unhealthy", c.Message, c.Error
		if c.Status == corev1.ConditionTrue {
			status = "Healthy"
		}
		break
	}
	return []any{s.Name, status, message, fault}
}
