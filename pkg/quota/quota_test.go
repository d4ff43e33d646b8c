package quota

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func asking(requests, limits corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits},
	}}}}
}

func TestUse(t *testing.T) {
	no, class, gold := false, "fast", "gold"
	ended := asking(amounts("cpu", "1"), nil)
	ended.Status.Phase = corev1.PodSucceeded
	zero := int64(30)
	lost := asking(amounts("cpu", "1"), nil)
	lost.DeletionTimestamp, lost.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(-31 * time.Second)}, &zero
	leaving := asking(amounts("cpu", "1"), nil)
	leaving.DeletionTimestamp, leaving.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(-30 * time.Second)}, &zero
	ports := []corev1.ServicePort{{Port: 80}, {Port: 81, NodePort: 30000}}
	for name, tc := range map[string]struct {
		of   schema.GroupResource
		obj  runtime.Object
		want corev1.ResourceList
	}{
		"a pod that asks for nothing": {schema.GroupResource{Resource: "pods"}, asking(nil, nil), amounts("count/pods", "1", "pods", "1")},
		"a pod that asks and is limited": {
			schema.GroupResource{Resource: "pods"},
			asking(amounts("cpu", "1", "memory", "1Gi", "hugepages-2Mi", "2Mi", "example.com/gpu", "2"), amounts("cpu", "2", "ephemeral-storage", "3Gi")),
			amounts("count/pods", "1", "pods", "1", "cpu", "1", "requests.cpu", "1", "limits.cpu", "2", "memory", "1Gi", "requests.memory", "1Gi",
				"limits.ephemeral-storage", "3Gi", "hugepages-2Mi", "2Mi", "requests.hugepages-2Mi", "2Mi", "requests.example.com/gpu", "2"),
		},
		"a pod that has ended":            {schema.GroupResource{Resource: "pods"}, ended, amounts("count/pods", "1")},
		"a pod that should long be gone":  {schema.GroupResource{Resource: "pods"}, lost, amounts("count/pods", "1")},
		"a pod that may still be leaving": {schema.GroupResource{Resource: "pods"}, leaving, amounts("count/pods", "1", "pods", "1", "cpu", "1", "requests.cpu", "1")},
		"a service": {
			schema.GroupResource{Resource: "services"}, &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: ports}},
			amounts("count/services", "1", "services", "1", "services.loadbalancers", "0", "services.nodeports", "0"),
		},
		"node ports": {
			schema.GroupResource{Resource: "services"}, &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: ports}},
			amounts("count/services", "1", "services", "1", "services.loadbalancers", "0", "services.nodeports", "2"),
		},
		"a load balancer": {
			schema.GroupResource{Resource: "services"}, &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: ports}},
			amounts("count/services", "1", "services", "1", "services.loadbalancers", "1", "services.nodeports", "2"),
		},
		"a load balancer that wants no node ports has those it names": {
			schema.GroupResource{Resource: "services"},
			&corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: ports, AllocateLoadBalancerNodePorts: &no}},
			amounts("count/services", "1", "services", "1", "services.loadbalancers", "1", "services.nodeports", "1"),
		},
		"a claim of a class": {
			schema.GroupResource{Resource: "persistentvolumeclaims"},
			&corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &gold, Resources: corev1.VolumeResourceRequirements{Requests: amounts("storage", "1500m")}}},
			amounts("count/persistentvolumeclaims", "1", "persistentvolumeclaims", "1", "gold.storageclass.storage.k8s.io/persistentvolumeclaims", "1",
				"requests.storage", "2", "gold.storageclass.storage.k8s.io/requests.storage", "2"),
		},
		"a claim that shrinks holds what it was given": {
			schema.GroupResource{Resource: "persistentvolumeclaims"},
			&corev1.PersistentVolumeClaim{
				Spec:   corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: amounts("storage", "1Gi")}},
				Status: corev1.PersistentVolumeClaimStatus{AllocatedResources: amounts("storage", "2Gi")},
			},
			amounts("count/persistentvolumeclaims", "1", "persistentvolumeclaims", "1", "requests.storage", "2Gi"),
		},
		"devices": {
			resourceClaims,
			&resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
				{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 2}},
				{FirstAvailable: []resourcev1.DeviceSubRequest{
					{DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1},
					{DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeAll},
				}},
			}}}},
			amounts("count/resourceclaims.resource.k8s.io", "1", "fast.deviceclass.resource.k8s.io/devices", "34",
				"requests.deviceclass.resource.kubernetes.io/fast", "34"),
		},
		"a config map by both its names": {schema.GroupResource{Resource: "configmaps"}, &corev1.ConfigMap{}, amounts("count/configmaps", "1", "configmaps", "1")},
		"what has one name":              {schema.GroupResource{Group: "apps", Resource: "deployments"}, &corev1.ConfigMap{}, amounts("count/deployments.apps", "1")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := For(tc.of).Use(tc.obj, now); !Equal(got, tc.want) {
				t.Errorf("uses %s, want %s", Show(got), Show(tc.want))
			}
		})
	}
}

func TestScopesOfPods(t *testing.T) {
	deadline := int64(5)
	scope := func(name corev1.ResourceQuotaScope, op corev1.ScopeSelectorOperator, values ...string) corev1.ScopedResourceSelectorRequirement {
		return corev1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: op, Values: values}
	}
	plain, short, busy, urgent, abroad := asking(nil, nil), asking(nil, nil), asking(amounts("cpu", "1"), nil), asking(nil, nil), asking(nil, nil)
	short.Spec.ActiveDeadlineSeconds = &deadline
	urgent.Spec.PriorityClassName = "high"
	abroad.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
		{PodAffinityTerm: corev1.PodAffinityTerm{NamespaceSelector: &metav1.LabelSelector{}}},
	}}}
	limitedInInit := asking(nil, nil)
	limitedInInit.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: amounts("memory", "1Mi")}}}
	for name, tc := range map[string]struct {
		s       corev1.ScopedResourceSelectorRequirement
		in, out *corev1.Pod
	}{
		"terminating":       {scope("Terminating", "Exists"), short, plain},
		"not terminating":   {scope("NotTerminating", "Exists"), plain, short},
		"best effort":       {scope("BestEffort", "Exists"), plain, busy},
		"init containers":   {scope("NotBestEffort", "Exists"), limitedInInit, plain},
		"any priority":      {scope("PriorityClass", "Exists"), urgent, plain},
		"no priority":       {scope("PriorityClass", "DoesNotExist"), plain, urgent},
		"one of priorities": {scope("PriorityClass", "In", "low", "high"), urgent, plain},
		"none of them":      {scope("PriorityClass", "NotIn", "high"), plain, urgent},
		"abroad":            {scope("CrossNamespacePodAffinity", "Exists"), abroad, plain},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{tc.s}}}
			if in, err := pods().Covers(spec, tc.in); !in || err != nil {
				t.Errorf("in: %v, %v", in, err)
			}
			if in, err := pods().Covers(spec, tc.out); in || err != nil {
				t.Errorf("out: %v, %v", in, err)
			}
		})
	}
}

func TestScopesOfClaims(t *testing.T) {
	silver := "silver"
	asks := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeAttributesClassName: &silver}}
	turns := &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{ModifyVolumeStatus: &corev1.ModifyVolumeStatus{TargetVolumeAttributesClassName: silver}}}
	none := &corev1.PersistentVolumeClaim{}
	spec := func(op corev1.ScopeSelectorOperator, values ...string) *corev1.ResourceQuotaSpec {
		return &corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
			{ScopeName: corev1.ResourceQuotaScopeVolumeAttributesClass, Operator: op, Values: values}}}}
	}
	for name, tc := range map[string]struct {
		spec *corev1.ResourceQuotaSpec
		want [3]bool // asks, turns, none
	}{
		"exists":          {spec("Exists"), [3]bool{true, true, false}},
		"in":              {spec("In", "silver"), [3]bool{true, true, false}},
		"not in":          {spec("NotIn", "silver"), [3]bool{false, false, true}},
		"a scope of pods": {&corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}}, [3]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, c := range []*corev1.PersistentVolumeClaim{asks, turns, none} {
				if in, err := claims().Covers(tc.spec, c); in != tc.want[i] || err != nil {
					t.Errorf("claim %d: %v, %v", i, in, err)
				}
			}
		})
	}
}

func TestContainersMustSayWhatIsLimited(t *testing.T) {
	pod := asking(amounts("cpu", "1"), nil)
	pod.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	err := podRequires([]corev1.ResourceName{"cpu", "limits.memory", "requests.example.com/gpu"}, pod)
	if err == nil || err.Error() != "must specify cpu for: i; limits.memory for: c,i" {
		t.Error(err)
	}
	pod.Spec.Resources = &corev1.ResourceRequirements{Requests: amounts("cpu", "1")}
	if err := podRequires([]corev1.ResourceName{"cpu", "limits.memory"}, pod); err != nil {
		t.Errorf("a pod that asks for all its containers: %v", err)
	}
}

func TestCountersOfAQuota(t *testing.T) {
	hard := amounts("configmaps", "1", "count/configmaps", "1", "count/jobs.batch", "1", "count/pods", "1", "count/nothing.example.com", "1", "gold.storageclass.storage.k8s.io/requests.storage", "1", "cpu", "1")
	got := map[schema.GroupResource]int{}
	for _, c := range Counting(hard, func(r schema.GroupResource) bool { return r.Group != "example.com" }) {
		got[c.Resource]++
	}
	for _, r := range []schema.GroupResource{{Resource: "configmaps"}, {Group: "batch", Resource: "jobs"}, {Resource: "pods"}, {Resource: "persistentvolumeclaims"}} {
		if got[r] != 1 {
			t.Errorf("%s has %d counters", r, got[r])
		}
		delete(got, r)
	}
	if len(got) > 0 {
		t.Errorf("also counted: %v", got)
	}
}
