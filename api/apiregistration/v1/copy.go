package v1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject implements runtime.Object.
func (in *APIService) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy copies the object.
func (in *APIService) DeepCopy() *APIService {
	if in == nil {
		return nil
	}
	out := &APIService{TypeMeta: in.TypeMeta, Spec: *in.Spec.DeepCopy(), Status: *in.Status.DeepCopy()}
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

// DeepCopy copies the spec.
func (in *APIServiceSpec) DeepCopy() *APIServiceSpec {
	out := *in
	out.CABundle = slices.Clone(in.CABundle)
	if in.Service != nil {
		s := *in.Service
		if s.Port != nil {
			s.Port = new(*s.Port)
		}
		out.Service = &s
	}
	return &out
}

// DeepCopy copies the status.
func (in *APIServiceStatus) DeepCopy() *APIServiceStatus {
	return &APIServiceStatus{Conditions: slices.Clone(in.Conditions)}
}

// DeepCopyObject implements runtime.Object.
func (in *APIServiceList) DeepCopyObject() runtime.Object {
	if in == nil {
		return nil
	}
	out := &APIServiceList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]APIService, 0, len(in.Items))
		for i := range in.Items {
			out.Items = append(out.Items, *in.Items[i].DeepCopy())
		}
	}
	return out
}

// OpenAPIModelName names the type's schema.
func (APIService) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService"
}

// OpenAPIModelName names the type's schema.
func (APIServiceCondition) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition"
}

// OpenAPIModelName names the type's schema.
func (APIServiceList) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceList"
}

// OpenAPIModelName names the type's schema.
func (APIServiceSpec) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec"
}

// OpenAPIModelName names the type's schema.
func (APIServiceStatus) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus"
}

// OpenAPIModelName names the type's schema.
func (ServiceReference) OpenAPIModelName() string {
	return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference"
}
