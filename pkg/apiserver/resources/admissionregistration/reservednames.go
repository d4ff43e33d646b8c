package admissionregistration

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reservedSuffix is that of names of what other servers read from files.
const reservedSuffix = ".static.k8s.io"

func warnReserved[T metav1.Object](_ context.Context, obj, _ T) []string {
	if !strings.HasSuffix(obj.GetName(), reservedSuffix) {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: names ending with %q are reserved for static manifest-based configurations "+
		"and cannot be managed via the API", reservedSuffix)}
}
