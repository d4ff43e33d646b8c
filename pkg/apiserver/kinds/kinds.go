// Package kinds knows the Go types of the built-in kinds: those of k8s.io/api, and those of the groups whose types
// live elsewhere.
package kinds

import (
	"fmt"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
)

// Scheme maps kinds to types. Nobody may add to it.
var Scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(fmt.Sprintf("kinds: two types of one kind: %v", err)) // the lists above contradict each other
		}
	}
	for _, gv := range unserved {
		metav1.AddToGroupVersion(s, gv)
	}
	return s
})

// unserved are group versions whose kinds travel or are stored, and are not served: their options are known.
var unserved = []schema.GroupVersion{
	{Group: "admission.k8s.io", Version: "v1"}, {Group: "admission.k8s.io", Version: "v1beta1"}, {Group: "imagepolicy.k8s.io", Version: "v1alpha1"},
	{Group: "apiextensions.k8s.io", Version: "v1beta1"}, {Group: "apiregistration.k8s.io", Version: "v1beta1"},
}
