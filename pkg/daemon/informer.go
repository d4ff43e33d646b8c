package daemon

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// DropManagedFields is an informer's transform: field ownership is often half of an object and no daemon
// looks at it.
func DropManagedFields(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// Handler adapts an informer's events to two typed functions. old is nil for a new object; remove gets
// the last state that was seen.
func Handler[T any](set func(obj, old *T), remove func(obj *T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { set(obj.(*T), nil) },
		UpdateFunc: func(old, obj any) { set(obj.(*T), old.(*T)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			remove(obj.(*T))
		},
	}
}
