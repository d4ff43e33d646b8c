package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubeletapis "k8s.io/kubelet/pkg/apis"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/node"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/podrefs"
)

var (
	pods  = schema.GroupResource{Resource: "pods"}
	nodes = schema.GroupResource{Resource: "nodes"}
)

// nodeRestriction holds a kubelet to its own node, and to the pods that are bound to it. It looks at what
// is written; whether the node may write there at all is the Node authorizer's.
func nodeRestriction(cfg *Config) admission.Plugin {
	r := &restriction{cfg}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update, admission.Delete), Admit: func(ctx context.Context, a *admission.Attributes) error {
		name, isNode := node.Identity(a.User)
		if !isNode {
			return nil
		}
		if name == "" {
			return admission.Forbidden(a, fmt.Errorf("could not determine node from user %q", a.User.Name))
		}
		err := r.judge(ctx, name, a)
		var status apierrors.APIStatus
		if err == nil || errors.As(err, &status) {
			return err
		}
		return admission.Forbidden(a, err)
	}}
}

type restriction struct{ cfg *Config }

// judge answers a plain error for a refusal, and a status error for what is to be answered as it is.
func (r *restriction) judge(ctx context.Context, name string, a *admission.Attributes) error {
	switch a.GroupResource() {
	case pods:
		switch a.Subresource {
		case "":
			return r.pod(ctx, name, a)
		case "status":
			return podStatus(name, a)
		case "eviction":
			return r.eviction(ctx, name, a)
		}
		return fmt.Errorf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.Subresource)
	case nodes:
		return ownNode(name, a)
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		if a.Subresource != "status" {
			return errors.New("may only update PVC status")
		}
		return claimStatus(name, a)
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return r.token(ctx, name, a)
	case schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}:
		return lease(name, a)
	case schema.GroupResource{Group: storagev1.GroupName, Resource: "csinodes"}:
		return sameName(name, a, "can only access CSINode with the same name as the requesting node")
	case schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceslices"}:
		return resourceSlice(name, a)
	case schema.GroupResource{Group: certificatesv1.GroupName, Resource: "certificatesigningrequests"}:
		return certificateRequest(name, a)
	}
	return nil
}

func (r *restriction) pod(ctx context.Context, name string, a *admission.Attributes) error {
	switch a.Operation {
	case admission.Create:
		pod, ok := a.Object.(*corev1.Pod)
		if !ok {
			return fmt.Errorf("unexpected type %T", a.Object)
		}
		return r.mirrorPod(ctx, name, pod)
	case admission.Delete:
		if a.Name == "" { // of a collection, whose objects nobody finds so: they stay
			return apierrors.NewNotFound(corev1.Resource("pod"), a.Name)
		}
		pod, err := find[*corev1.Pod](ctx, r.cfg.Access, pods, a.Namespace, a.Name)
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != name {
			return fmt.Errorf("node %q can only delete pods with spec.nodeName set to itself", name)
		}
		return nil
	}
	return fmt.Errorf("unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, name)
}

// mirrorPod allows a node to show its static pods, which may refer to nothing in the cluster: whoever
// controls a node could read it through them.
func (r *restriction) mirrorPod(ctx context.Context, name string, pod *corev1.Pod) error {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, name)
	}
	if pod.Spec.NodeName != name {
		return fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", name)
	}
	if err := r.ownedByNode(ctx, name, pod); err != nil {
		return err
	}
	switch {
	case pod.Spec.ServiceAccountName != "":
		return fmt.Errorf("node %q can not create pods that reference a service account", name)
	case len(podrefs.Secrets(pod)) > 0:
		return fmt.Errorf("node %q can not create pods that reference secrets", name)
	case len(podrefs.ConfigMaps(pod)) > 0:
		return fmt.Errorf("node %q can not create pods that reference configmaps", name)
	case len(pod.Spec.ResourceClaims) > 0:
		return fmt.Errorf("node %q can not create pods that reference resourceclaims", name)
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			return fmt.Errorf("node %q can not create pods that reference persistentvolumeclaims", name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ClusterTrustBundle != nil {
				return fmt.Errorf("node %q can not create pods that reference clustertrustbundles", name)
			}
		}
	}
	return nil
}

func (r *restriction) ownedByNode(ctx context.Context, name string, pod *corev1.Pod) error {
	switch len(pod.OwnerReferences) {
	case 0:
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", name)
	case 1:
	default:
		return fmt.Errorf("node %q can only create pods with a single owner reference set to itself", name)
	}
	owner := pod.OwnerReferences[0]
	if owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != name {
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", name)
	}
	if owner.Controller == nil || !*owner.Controller {
		return fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", name)
	}
	if owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion {
		return fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", name)
	}
	n, err := find[*corev1.Node](ctx, r.cfg.Access, nodes, "", name)
	if apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return fmt.Errorf("error looking up node %s to verify uid: %w", name, err)
	}
	if owner.UID != n.UID {
		return fmt.Errorf("node %s UID mismatch: expected %s got %s", name, owner.UID, n.UID)
	}
	return nil
}

func podStatus(name string, a *admission.Attributes) error {
	if a.Operation != admission.Update {
		return fmt.Errorf("unexpected operation %q", a.Operation)
	}
	old, wasPod := a.OldObject.(*corev1.Pod)
	pod, isPod := a.Object.(*corev1.Pod)
	switch {
	case !wasPod:
		return fmt.Errorf("unexpected type %T", a.OldObject)
	case old.Spec.NodeName != name:
		return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", name)
	case !isPod:
		return fmt.Errorf("unexpected type %T", a.Object)
	case !labels.Equals(old.Labels, pod.Labels):
		return fmt.Errorf("node %q cannot update labels through pod status", name)
	case !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, pod.Status.ResourceClaimStatuses):
		return fmt.Errorf("node %q cannot update resource claim statues", name) // sic, as upstream
	case !equality.Semantic.DeepEqual(old.Status.ExtendedResourceClaimStatus, pod.Status.ExtendedResourceClaimStatus):
		return fmt.Errorf("node %q cannot update extended resource claim status", name)
	}
	return nil
}

func (r *restriction) eviction(ctx context.Context, name string, a *admission.Attributes) error {
	if a.Operation != admission.Create {
		return fmt.Errorf("unexpected operation %s", a.Operation)
	}
	podName := a.Name
	if e, ok := a.Object.(*policyv1.Eviction); ok && podName == "" {
		podName = e.Name
	}
	if podName == "" {
		return errors.New("could not determine pod from request data")
	}
	pod, err := find[*corev1.Pod](ctx, r.cfg.Access, pods, a.Namespace, podName)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != name {
		return fmt.Errorf("node %s can only evict pods with spec.nodeName set to itself", name)
	}
	return nil
}

func claimStatus(name string, a *admission.Attributes) error {
	old, wasClaim := a.OldObject.(*corev1.PersistentVolumeClaim)
	claim, isClaim := a.Object.(*corev1.PersistentVolumeClaim)
	if a.Operation != admission.Update || !wasClaim || !isClaim {
		return fmt.Errorf("unexpected operation %q", a.Operation)
	}
	plain := func(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
		c = c.DeepCopy()
		c.ResourceVersion, c.ManagedFields = "", nil
		c.Status.Capacity, c.Status.Conditions = nil, nil
		c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil
		return c
	}
	if !equality.Semantic.DeepEqual(plain(old), plain(claim)) {
		return fmt.Errorf("node %q is not allowed to update fields other than status.quantity and status.conditions", name) // sic: upstream means capacity
	}
	return nil
}

func ownNode(name string, a *admission.Attributes) error {
	requested := a.Name
	if o, ok := a.Object.(*corev1.Node); ok && a.Operation == admission.Create {
		requested = o.Name
	}
	if requested != name {
		return fmt.Errorf("node %q is not allowed to modify node %q", name, requested)
	}
	switch a.Operation {
	case admission.Create:
		n, ok := a.Object.(*corev1.Node)
		if !ok {
			return fmt.Errorf("unexpected type %T", a.Object)
		}
		if n.Spec.ConfigSource != nil {
			return fmt.Errorf("node %q is not allowed to create pods with a non-nil configSource", name)
		}
		if bad := forbiddenLabels(n.Labels, nil); len(bad) > 0 {
			return fmt.Errorf("node %q is not allowed to set the following labels: %s", name, strings.Join(bad, ", "))
		}
	case admission.Update:
		n, isNode := a.Object.(*corev1.Node)
		old, wasNode := a.OldObject.(*corev1.Node)
		if !isNode || !wasNode {
			return fmt.Errorf("unexpected type %T", a.Object)
		}
		return nodeUpdate(name, n, old)
	}
	return nil
}

// nodeUpdate keeps a node from drawing pods to itself by labels and taints, and from having itself, or what
// depends on it, collected through its owners.
func nodeUpdate(name string, n, old *corev1.Node) error {
	switch {
	case n.Spec.ConfigSource != nil && !equality.Semantic.DeepEqual(n.Spec.ConfigSource, old.Spec.ConfigSource):
		return fmt.Errorf("node %q is not allowed to update configSource to a new non-nil configSource", name)
	case !equality.Semantic.DeepEqual(n.Spec.Taints, old.Spec.Taints):
		return fmt.Errorf("node %q is not allowed to modify taints", name)
	case !equality.Semantic.DeepEqual(n.OwnerReferences, old.OwnerReferences):
		return fmt.Errorf("node %q is not allowed to modify ownerReferences", name)
	}
	if bad := forbiddenLabels(n.Labels, old.Labels); len(bad) > 0 {
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(bad, ", "))
	}
	return nil
}

// forbiddenLabels answers the changed labels that a node may not decide about.
func forbiddenLabels(now, before map[string]string) []string {
	var bad []string
	check := func(key string) {
		domain, _, ok := strings.Cut(key, "/")
		if !ok {
			domain = ""
		}
		in := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
		if in(corev1.LabelNamespaceNodeRestriction) || (in("kubernetes.io") || in("k8s.io")) && !kubeletapis.IsKubeletLabel(key) {
			bad = append(bad, key)
		}
	}
	for k, v := range now {
		if was, ok := before[k]; !ok || was != v {
			check(k)
		}
	}
	for k := range before {
		if _, ok := now[k]; !ok {
			check(k)
		}
	}
	slices.Sort(bad)
	return bad
}

// token allows a node to have tokens for the pods that it runs, for the audiences that they name.
func (r *restriction) token(ctx context.Context, name string, a *admission.Attributes) error {
	if a.Operation != admission.Create || a.Subresource != "token" {
		return nil
	}
	req, ok := a.Object.(*authenticationv1.TokenRequest)
	if !ok {
		return fmt.Errorf("unexpected type %T", a.Object)
	}
	ref := req.Spec.BoundObjectRef
	switch {
	case ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "":
		return errors.New("node requested token not bound to a pod")
	case ref.UID == "":
		return errors.New("node requested token with a pod binding without a uid")
	}
	pod, err := find[*corev1.Pod](ctx, r.cfg.Access, pods, a.Namespace, ref.Name)
	switch {
	case err != nil:
		return err
	case ref.UID != pod.UID:
		return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != name:
		return errors.New("node requested token bound to a pod scheduled on a different node")
	}
	return r.audience(ctx, a, req.Spec.Audiences, pod)
}

func (r *restriction) audience(ctx context.Context, a *admission.Attributes, audiences []string, pod *corev1.Pod) error {
	audience := ""
	switch len(audiences) {
	case 0:
	case 1:
		audience = audiences[0]
	default:
		return errors.New("node may only request 0 or 1 audiences")
	}
	if r.named(ctx, pod, audience) {
		return nil
	}
	d, _, _ := r.cfg.Authorizer.Authorize(ctx, a.User, &request.Info{IsResource: true,
		Verb: "request-serviceaccounts-token-audience", Version: "v1", Resource: audience, Namespace: a.Namespace, Name: a.Name})
	if d == authz.Allow {
		return nil
	}
	return fmt.Errorf("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", audience, a.User.Name)
}

// named says whether a volume of the pod asks for a token of the audience: a projected volume by itself,
// a CSI volume through its driver.
func (r *restriction) named(ctx context.Context, pod *corev1.Pod, audience string) bool {
	var drivers []string
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience {
					return true
				}
			}
		case v.CSI != nil:
			drivers = append(drivers, v.CSI.Driver)
		case v.PersistentVolumeClaim != nil:
			drivers = append(drivers, r.driver(ctx, pod.Namespace, v.PersistentVolumeClaim.ClaimName))
		case v.Ephemeral != nil:
			drivers = append(drivers, r.driver(ctx, pod.Namespace, pod.Name+"-"+v.Name))
		}
	}
	for _, d := range drivers {
		if d == "" {
			continue
		}
		driver, err := find[*storagev1.CSIDriver](ctx, r.cfg.Access, schema.GroupResource{Group: storagev1.GroupName, Resource: "csidrivers"}, "", d)
		if err != nil {
			continue // a driver that does not exist asks for nothing
		}
		if slices.ContainsFunc(driver.Spec.TokenRequests, func(t storagev1.TokenRequest) bool { return t.Audience == audience }) {
			return true
		}
	}
	return false
}

// driver answers the CSI driver of the volume behind a claim, "" where there is none.
func (r *restriction) driver(ctx context.Context, namespace, claim string) string {
	c, err := find[*corev1.PersistentVolumeClaim](ctx, r.cfg.Access, schema.GroupResource{Resource: "persistentvolumeclaims"}, namespace, claim)
	if err != nil || c.Spec.VolumeName == "" {
		return ""
	}
	v, err := find[*corev1.PersistentVolume](ctx, r.cfg.Access, schema.GroupResource{Resource: "persistentvolumes"}, "", c.Spec.VolumeName)
	if err != nil || v.Spec.CSI == nil {
		return ""
	}
	return v.Spec.CSI.Driver
}

func lease(name string, a *admission.Attributes) error {
	if a.Namespace != corev1.NamespaceNodeLease {
		return fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	return sameName(name, a, "can only access node lease with the same name as the requesting node")
}

func sameName(name string, a *admission.Attributes, refusal string) error {
	requested := a.Name
	if o, ok := a.Object.(metav1.Object); ok && a.Operation == admission.Create {
		requested = o.GetName()
	}
	if requested != name {
		return errors.New(refusal)
	}
	return nil
}

func resourceSlice(name string, a *admission.Attributes) error {
	var s *resourcev1.ResourceSlice
	switch a.Operation {
	case admission.Create:
		s, _ = a.Object.(*resourcev1.ResourceSlice)
		if s != nil && (s.Spec.NodeName == nil || *s.Spec.NodeName != name) {
			return errors.New("can only create ResourceSlice with the same NodeName as the requesting node")
		}
	case admission.Delete:
		s, _ = a.OldObject.(*resourcev1.ResourceSlice)
		if s != nil && (s.Spec.NodeName == nil || *s.Spec.NodeName != name) {
			return errors.New("can only delete ResourceSlice with the same NodeName as the requesting node")
		}
	}
	return nil
}

// certificateRequest lets a node ask for no certificate of a kubelet but its own: the signers look at who asks, and at the
// form of the name only.
func certificateRequest(name string, a *admission.Attributes) error {
	csr, is := a.Object.(*certificatesv1.CertificateSigningRequest)
	if !is || a.Operation != admission.Create ||
		csr.Spec.SignerName != certificatesv1.KubeletServingSignerName && csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	parsed, err := parseRequest(csr)
	if err != nil {
		return fmt.Errorf("unable to parse csr: %w", err)
	}
	if parsed.Subject.CommonName != node.User(name) {
		return fmt.Errorf("can only create a node CSR with CN=%s", node.User(name))
	}
	return nil
}
