package controller

import (
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

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
