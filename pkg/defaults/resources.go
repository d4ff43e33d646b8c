package defaults

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources rounds every quantity of a list up to thousandths, the finest that is stored.
func Resources(list corev1.ResourceList) {
	for name, quantity := range list {
		if quantity.RoundUp(resource.Milli) {
			continue
		}
		list[name] = quantity
	}
}

func requirements(r *corev1.ResourceRequirements) {
	Resources(r.Limits)
	Resources(r.Requests)
}

// requestsFromLimits asks for as much as is allowed, of what has a limit but no request.
func requestsFromLimits(r *corev1.ResourceRequirements) {
	if len(r.Limits) == 0 {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	for name, limit := range r.Limits {
		if _, asked := r.Requests[name]; !asked {
			r.Requests[name] = limit.DeepCopy()
		}
	}
}
