package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestRefusalsAreWordedAsTheLibrarys(t *testing.T) {
	path := field.NewPath("spec")
	one, other := field.Required(path, "x"), field.Invalid(path.Index(1), 5, "must be 4")
	for _, faults := range []field.ErrorList{nil, {one}, {one, one}, {one, other}, {other, one, other, field.Forbidden(path, `"quoted" %s`)}} {
		kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
		if d := cmp.Diff(apierrors.NewInvalid(kind, "n", faults), Invalid(kind, "n", faults)); d != "" {
			t.Errorf("%v: library (-) and own (+):\n%s", faults, d)
		}
	}
}
