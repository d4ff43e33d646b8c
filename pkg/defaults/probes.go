package defaults

import corev1 "k8s.io/api/core/v1"

func probe(p *corev1.Probe) {
	if p == nil {
		return
	}
	fill(&p.TimeoutSeconds, 1)
	fill(&p.PeriodSeconds, 10)
	fill(&p.SuccessThreshold, 1)
	fill(&p.FailureThreshold, 3)
	httpGet(p.HTTPGet)
	if p.GRPC != nil {
		set(&p.GRPC.Service, "")
	}
}

func lifecycle(l *corev1.Lifecycle) {
	if l == nil {
		return
	}
	for _, handler := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
		if handler != nil {
			httpGet(handler.HTTPGet)
		}
	}
}

func httpGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	fill(&get.Path, "/")
	fill(&get.Scheme, corev1.URISchemeHTTP)
}
