package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Requests answers requests for tokens: the subresource token of service accounts.
type Requests struct {
	Issuer    *Issuer
	Access    resource.Access
	Audiences []string      // of a request that names none
	Max       time.Duration // longest life, zero for no limit
	Extend    bool          // gives the tokens of injected volumes a year (--service-account-extend-token-expiration)
	Now       func() time.Time
}

// The bounds of a token's life.
const (
	defaultSeconds = 3600
	minSeconds     = 10 * 60
	maxSeconds     = 1 << 32
)

var requestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind()

// Default fills in the life of a token.
func Default(body runtime.Object) {
	r := body.(*authenticationv1.TokenRequest)
	if r.Spec.ExpirationSeconds == nil {
		seconds := int64(defaultSeconds)
		r.Spec.ExpirationSeconds = &seconds
	}
}

// Do issues a token for the service account, or says what is wrong with the request.
func (q *Requests) Do(ctx context.Context, namespace, name string, body runtime.Object, opts *metav1.CreateOptions) (runtime.Object, error) {
	req := body.(*authenticationv1.TokenRequest).DeepCopy()
	if err := matches(req, namespace, name); err != nil {
		return nil, err
	}
	obj, err := q.Access.GetLive(ctx, schema.GroupResource{Resource: "serviceaccounts"}, namespace, name)
	if err != nil {
		return nil, err
	}
	sa, ok := obj.(*corev1.ServiceAccount)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("a service account is stored as %T", obj))
	}
	if err := q.prepare(req, sa); err != nil {
		return nil, err
	}
	binding, err := q.bind(ctx, sa, req.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	asked := time.Duration(*req.Spec.ExpirationSeconds) * time.Second
	if q.Max > 0 && asked > q.Max {
		asked = q.Max
		seconds := int64(q.Max / time.Second)
		req.Spec.ExpirationSeconds = &seconds
		request.Warn(ctx, fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", *body.(*authenticationv1.TokenRequest).Spec.ExpirationSeconds, seconds))
	}
	life, warnAfter := asked, time.Duration(0)
	if q.Extend && binding.Pod != nil && *req.Spec.ExpirationSeconds == ExtendableSeconds && q.forUs(req.Spec.Audiences) {
		life, warnAfter = extendedSeconds*time.Second, asked
	}
	now := q.Now()
	if q.Issuer == nil {
		return nil, errors.New("service account tokens cannot be issued: set --service-account-signing-key-file and --service-account-issuer")
	}
	token, err := q.Issuer.Issue(sa, binding, req.Spec.Audiences, life, warnAfter)
	if err != nil {
		return nil, fmt.Errorf("failed to generate token: %w", err)
	}
	req.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(now.Add(asked).Truncate(time.Second))}
	return req, nil
}

// forUs says whether the audiences are all the server's own.
func (q *Requests) forUs(audiences []string) bool {
	for _, a := range audiences {
		if !slices.Contains(q.Audiences, a) {
			return false
		}
	}
	return true
}

// matches refuses a request that names another service account than the path does.
func matches(req *authenticationv1.TokenRequest, namespace, name string) error {
	meta := field.NewPath("metadata")
	var fault *field.Error
	switch {
	case req.Name != "" && req.Name != name:
		fault = field.Invalid(meta.Child("name"), req.Name, "must match the service account name if specified")
	case req.Namespace != "" && req.Namespace != namespace:
		fault = field.Invalid(meta.Child("namespace"), req.Namespace, "must match the service account namespace if specified")
	default:
		return nil
	}
	return apierrors.NewInvalid(requestKind, name, field.ErrorList{fault})
}

// prepare fills in what the request leaves out, and judges it. A uid asks for the token of that service
// account alone, and of none that was later created under its name.
func (q *Requests) prepare(req *authenticationv1.TokenRequest, sa *corev1.ServiceAccount) error {
	if req.UID != "" && req.UID != sa.UID {
		return apierrors.NewConflict(schema.GroupResource{Group: requestKind.Group, Resource: requestKind.Kind}, sa.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", req.UID, sa.UID))
	}
	req.Name, req.Namespace, req.UID = sa.Name, sa.Namespace, sa.UID
	req.CreationTimestamp = metav1.NewTime(q.Now().Truncate(time.Second))
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = slices.Clone(q.Audiences)
	}
	if req.Spec.ExpirationSeconds == nil {
		Default(req)
	}
	if errs := validate(req); len(errs) > 0 {
		return apierrors.NewInvalid(requestKind, "", errs)
	}
	return nil
}

func validate(req *authenticationv1.TokenRequest) field.ErrorList {
	var errs field.ErrorList
	path, seconds := field.NewPath("spec", "expirationSeconds"), *req.Spec.ExpirationSeconds
	if seconds < minSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > maxSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return errs
}

// bind finds the object that the token is to be bound to.
func (q *Requests) bind(ctx context.Context, sa *corev1.ServiceAccount, r *authenticationv1.BoundObjectReference) (Binding, error) {
	var b Binding
	if r == nil {
		return b, nil
	}
	get := func(plural, namespace, name string) (resource.Object, error) {
		return q.Access.GetLive(ctx, schema.GroupResource{Resource: plural}, namespace, name)
	}
	gvk := schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
	var bound resource.Object
	var err error
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		if bound, err = get("pods", sa.Namespace, r.Name); err != nil {
			return b, err
		}
		b.Pod = bound.(*corev1.Pod)
		if b.Pod.Spec.ServiceAccountName != sa.Name {
			return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", sa.Name))
		}
		b.Node, err = nodeOf(b.Pod, get)
		if err != nil {
			return b, err
		}
	case schema.GroupKind{Kind: "Node"}:
		if bound, err = get("nodes", "", r.Name); err != nil {
			return b, err
		}
		b.Node = bound.(*corev1.Node)
	case schema.GroupKind{Kind: "Secret"}:
		if bound, err = get("secrets", sa.Namespace, r.Name); err != nil {
			return b, err
		}
		b.Secret = bound.(*corev1.Secret)
	default:
		return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk.String()))
	}
	if r.UID != "" && r.UID != bound.GetUID() {
		return b, apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, r.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", r.UID))
	}
	return b, nil
}

// nodeOf answers the node that a pod is on: nil before it is scheduled, and one without a uid when the node
// is gone.
func nodeOf(pod *corev1.Pod, get func(plural, namespace, name string) (resource.Object, error)) (*corev1.Node, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	obj, err := get("nodes", "", pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.NodeName, UID: types.UID("")}}, nil
	}
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Node), nil
}
