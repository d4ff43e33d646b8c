package controller

import (
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// Key names a namespaced object; Namespace is empty for those of the cluster.
type Key = types.NamespacedName

// KeyOf is the key of an object.
func KeyOf(o metav1.Object) Key { return Key{Namespace: o.GetNamespace(), Name: o.GetName()} }

// Env is what a controller is built from. Client and Metadata act as the controller's own identity;
// Informers are the process's.
type Env struct {
	Client    kubernetes.Interface
	Metadata  metadata.Interface
	Informers informers.SharedInformerFactory
	// Events gives the recorder whose events name component as their source.
	Events  func(component string) record.EventRecorder
	Clock   clock.WithTicker
	Log     logr.Logger
	Metrics workqueue.MetricsProvider // nil: the queues are not measured
}

// Trim drops what no controller reads from objects before they are cached.
func Trim(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok && len(o.GetManagedFields()) > 0 {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// ControllerOf is the owner reference of obj that says controller, nil for none.
func ControllerOf(obj metav1.Object) *metav1.OwnerReference { return metav1.GetControllerOfNoCopy(obj) }

// OwnerKey is the key of the controlling owner of obj where that is of kind; nil where it is not. It is
// what most controllers watch their dependents with.
func OwnerKey(kind string, objs ...metav1.Object) []Key {
	var keys []Key
	for _, o := range objs {
		if ref := ControllerOf(o); ref != nil && ref.Kind == kind {
			keys = append(keys, Key{Namespace: o.GetNamespace(), Name: ref.Name})
		}
	}
	return keys
}
