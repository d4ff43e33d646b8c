package quota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// services counts services, those that ask for a load balancer, and the node ports that they take.
func services() Counter {
	r := schema.GroupResource{Resource: "services"}
	return Counter{
		Resource: r,
		Charged:  func(w Write) bool { return w.Subresource == "" },
		Counts: func(name corev1.ResourceName) bool {
			switch name {
			case CountName(r), corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
				return true
			}
			return false
		},
		Use: func(obj runtime.Object, _ time.Time) corev1.ResourceList {
			s, is := obj.(*corev1.Service)
			if !is {
				return nil
			}
			balancers, ports := int64(0), int64(0)
			switch s.Spec.Type {
			case corev1.ServiceTypeNodePort:
				ports = int64(len(s.Spec.Ports))
			case corev1.ServiceTypeLoadBalancer:
				balancers, ports = 1, int64(len(s.Spec.Ports))
				if a := s.Spec.AllocateLoadBalancerNodePorts; a != nil && !*a {
					ports = portsTaken(s)
				}
			}
			return corev1.ResourceList{
				CountName(r): decimal(1), corev1.ResourceServices: decimal(1),
				corev1.ResourceServicesLoadBalancers: decimal(balancers), corev1.ResourceServicesNodePorts: decimal(ports),
			}
		},
	}
}

func portsTaken(s *corev1.Service) (n int64) {
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			n++
		}
	}
	return n
}
