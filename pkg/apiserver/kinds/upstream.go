package kinds

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// SchemeName is how upstream's messages call the place where kinds are known.
const SchemeName = "pkg/api/legacyscheme/scheme.go:30"

// InternalName is what upstream calls its own form of a kind: "core.Pod".
func InternalName(kind schema.GroupVersionKind) string {
	group, _, _ := strings.Cut(kind.Group, ".")
	if group == "" || group == "events" {
		group = "core"
	}
	return group + "." + kind.Kind
}

// Unconvertible is what upstream says of an object that cannot be read as one of a kind.
func Unconvertible(o runtime.Object, kind schema.GroupVersionKind) error {
	return fmt.Errorf("converting (%s) to (%s): unknown conversion", strings.TrimPrefix(fmt.Sprintf("%T", o), "*"), InternalName(kind))
}
