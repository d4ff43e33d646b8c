package authz

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Forbidden is the answer to a request that no authorizer allowed, in kube-apiserver's words.
func Forbidden(user *request.User, info *request.Info, reason string) *apierrors.StatusError {
	msg := explain(user, info)
	if reason != "" {
		msg += ": " + reason
	}
	status := metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusForbidden,
		Reason: metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{
			Group: info.Group,
			Kind:  info.Resource,
			Name:  info.Name,
		},
	}
	gr := schema.GroupResource{Group: info.Group, Resource: info.Resource}
	switch {
	case gr.Empty():
		status.Message = "forbidden: " + msg
	case info.Name == "":
		status.Message = fmt.Sprintf("%s is forbidden: %s", gr.String(), msg)
	default:
		status.Message = fmt.Sprintf("%s %q is forbidden: %s", gr.String(), info.Name, msg)
	}
	return &apierrors.StatusError{ErrStatus: status}
}

func explain(user *request.User, info *request.Info) string {
	name := ""
	if user != nil {
		name = user.Name
	}
	if !info.IsResource {
		return fmt.Sprintf("User %q cannot %s path %q", name, info.Verb, info.Path)
	}
	resource := info.Resource
	if info.Subresource != "" {
		resource += "/" + info.Subresource
	}
	where := "at the cluster scope"
	if info.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", info.Namespace)
	}
	return fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", name, info.Verb, resource, info.Group, where)
}

// joined is one error of several, in the form that upstream shows: [a, b].
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return utilerrors.NewAggregate(errs)
}
