// Package resources is the list of the built-in resources.
package resources

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/allocation"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/admissionregistration"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiregistration"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apps"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/authentication"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/autoscaling"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/batch"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/certificates"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/coordination"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/core"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/devices"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/discovery"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/flowcontrol"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/networking"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/node"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/policy"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/scheduling"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/serviceaccount"
)

// Deps is what the definitions are built with.
type Deps struct {
	// Access reads and writes other objects. It may be bound to the store after the definitions are made:
	// they use it only to answer requests.
	Access resource.Access
	Clock  clock.PassiveClock
	// PodStreams are the subresources of pods that reach a kubelet: log, exec, attach, portforward, proxy.
	PodStreams []resource.Subresource[*corev1.Pod]
	// NodeStreams and ServiceStreams are those of nodes and services: proxy.
	NodeStreams    []resource.Subresource[*corev1.Node]
	ServiceStreams []resource.Subresource[*corev1.Service]
	// Allocator gives services their addresses and ports.
	Allocator *allocation.Allocator
	// EventTTL is how long events are kept.
	EventTTL time.Duration
	// Authorizer says who may write the parts of an object that need a right of their own. Like Access it is used
	// only to answer.
	Authorizer authz.Authorizer
	// ResourceOf finds the resource of a kind that is served, and whether it is in namespaces.
	ResourceOf func(kind schema.GroupVersionKind) (r schema.GroupResource, namespaced, found bool)
	// Components are those whose health is told.
	Components []core.Component
	// Tokens answers requests for tokens of service accounts. Like Access it is used only to answer.
	Tokens *serviceaccount.Requests
	// AllowPrivileged: containers may be privileged.
	AllowPrivileged bool
}

// All is every built-in resource, by group.
func All(d Deps) []*resource.Resource {
	all := definitions(d)
	if !d.AllowPrivileged {
		forbidPrivileged(all)
	}
	return all
}

func definitions(d Deps) []*resource.Resource {
	pods := core.PodDeps{Access: d.Access, Clock: d.Clock, Streams: d.PodStreams}
	rights := admissionregistration.Rights{Authorizer: d.Authorizer, Reader: d.Access, ResourceOf: d.ResourceOf}
	return []*resource.Resource{
		core.Binding(pods),
		core.ComponentStatus(d.Components),
		core.ConfigMap(),
		core.Event(d.EventTTL),
		core.LimitRange(),
		core.Endpoints(),
		core.Namespace(d.Clock),
		core.Node(d.NodeStreams...),
		core.PersistentVolume(d.Clock),
		core.PersistentVolumeClaim(),
		core.Pod(pods),
		core.PodTemplate(),
		core.ReplicationController(),
		core.ResourceQuota(),
		core.Secret(),
		core.Service(core.ServiceDeps{Allocate: d.Allocator.Allocate, Deleted: d.Allocator.Deleted, Streams: d.ServiceStreams}),
		core.ServiceAccount(authentication.Token(d.Tokens)),

		admissionregistration.MutatingAdmissionPolicy(rights),
		admissionregistration.MutatingAdmissionPolicyBinding(rights),
		admissionregistration.MutatingWebhookConfiguration(),
		admissionregistration.ValidatingAdmissionPolicy(rights),
		admissionregistration.ValidatingAdmissionPolicyBinding(rights),
		admissionregistration.ValidatingWebhookConfiguration(),

		apiregistration.APIService(),

		apps.ControllerRevision(),
		apps.DaemonSet(),
		apps.Deployment(),
		apps.ReplicaSet(),
		apps.StatefulSet(),

		autoscaling.HorizontalPodAutoscaler(),

		batch.CronJob(),
		batch.Job(),

		discovery.EndpointSlice(),

		flowcontrol.FlowSchema(),
		flowcontrol.PriorityLevelConfiguration(),

		networking.Ingress(),
		networking.IngressClass(),
		networking.IPAddress(),
		networking.NetworkPolicy(),
		networking.ServiceCIDR(),

		apiextensions.CustomResourceDefinition(d.Clock),

		certificates.SigningRequest(d.Clock),

		coordination.Lease(),

		node.RuntimeClass(),

		policy.PodDisruptionBudget(),

		rbac.ClusterRole(),
		rbac.ClusterRoleBinding(),
		rbac.Role(),
		rbac.RoleBinding(),

		devices.DeviceClass(),
		devices.ResourceClaim(d.Access, d.Authorizer),
		devices.ResourceClaimTemplate(d.Access),
		devices.ResourceSlice(d.Clock),

		scheduling.PriorityClass(),

		storage.CSIDriver(),
		storage.CSINode(),
		storage.CSIStorageCapacity(),
		storage.StorageClass(),
		storage.VolumeAttachment(),
		storage.VolumeAttributesClass(),
	}
}
