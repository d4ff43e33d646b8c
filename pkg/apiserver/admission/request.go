package admission

import (
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Target is what a rule that users configure takes a write for: the resource itself, or another version of it.
type Target struct {
	Kind     schema.GroupVersionKind
	Resource schema.GroupVersionResource
}

// Request describes the write in the words of admission reviews, without its objects.
func (a *Attributes) Request(t Target) *admissionv1.AdmissionRequest {
	dryRun := a.DryRun
	r := &admissionv1.AdmissionRequest{
		Kind:               metav1.GroupVersionKind(t.Kind),
		Resource:           metav1.GroupVersionResource(t.Resource),
		SubResource:        a.Subresource,
		RequestKind:        (*metav1.GroupVersionKind)(&a.Kind),
		RequestResource:    (*metav1.GroupVersionResource)(&a.Resource),
		RequestSubResource: a.Subresource,
		Name:               a.Name,
		Namespace:          a.ReviewNamespace(),
		Operation:          admissionv1.Operation(a.Operation),
		DryRun:             &dryRun,
		Options:            runtime.RawExtension{Object: a.options()},
		UserInfo:           authenticationv1.UserInfo{Extra: map[string]authenticationv1.ExtraValue{}},
	}
	if u := a.User; u != nil {
		r.UserInfo.Username, r.UserInfo.UID, r.UserInfo.Groups = u.Name, u.UID, u.Groups
		for key, values := range u.Extra {
			r.UserInfo.Extra[key] = values
		}
	}
	return r
}

// ReviewNamespace is the namespace that users' rules see: a namespace is in itself.
func (a *Attributes) ReviewNamespace() string {
	if a.Is("", "namespaces", a.Subresource) && a.Namespace == "" {
		return a.Name
	}
	return a.Namespace
}

// options are of the operation's kind: a patch that creates has those of a create.
func (a *Attributes) options() runtime.Object {
	var out runtime.Object
	switch a.Operation {
	case Create:
		out = createOptions(a.Options)
	case Update:
		out = updateOptions(a.Options)
	case Delete:
		if o, is := a.Options.(*metav1.DeleteOptions); is {
			out = o.DeepCopy()
		}
	}
	if out != nil {
		out.GetObjectKind().SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(kindOfOptions[a.Operation]))
	}
	return out
}

var kindOfOptions = map[Operation]string{Create: "CreateOptions", Update: "UpdateOptions", Delete: "DeleteOptions"}

func createOptions(o runtime.Object) runtime.Object {
	switch o := o.(type) {
	case *metav1.CreateOptions:
		return o.DeepCopy()
	case *metav1.UpdateOptions:
		return &metav1.CreateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}
	case *metav1.PatchOptions:
		return &metav1.CreateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}
	}
	return nil
}

func updateOptions(o runtime.Object) runtime.Object {
	switch o := o.(type) {
	case *metav1.UpdateOptions:
		return o.DeepCopy()
	case *metav1.PatchOptions:
		return &metav1.UpdateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}
	}
	return nil
}
