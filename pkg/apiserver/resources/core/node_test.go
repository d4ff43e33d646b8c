package core

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

func fieldsOf(faults field.ErrorList) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

func TestNodesAreJudged(t *testing.T) {
	taint := func(key, value string, effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: key, Value: value, Effect: effect}
	}
	for _, test := range []struct {
		name string
		node corev1.Node
		want []string
	}{
		{"empty", corev1.Node{}, nil},
		{"two networks of two families", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "fd00::/64"}}}, nil},
		{"two networks, one of them none", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "x"}}},
			[]string{"spec.podCIDRs[1]: FieldValueInvalid", "spec.podCIDRs: InternalError", "spec.podCIDRs: FieldValueInvalid"}},
		{"nowhere to swap to", corev1.Node{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{Swap: &corev1.NodeSwapStatus{Capacity: new(int64(0))}}}},
			[]string{"metadata.nodeSwapStatus.capacity: FieldValueInvalid"}},
		{"taints that were annotations", corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"scheduler.alpha.kubernetes.io/taints": `[{"key":"a"}]`}}},
			[]string{"metadata.annotations.scheduler.alpha.kubernetes.io/taints[0].effect: FieldValueRequired"}},
		{"two networks of one family", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "10.0.1.0/24"}}}, []string{"spec.podCIDRs: FieldValueInvalid"}},
		{"one network twice", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "10.0.0.0/24"}}},
			[]string{"spec.podCIDRs: FieldValueInvalid"}},
		{"three networks", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "fd00::/64", "fd01::/64"}}}, []string{"spec.podCIDRs: FieldValueInvalid"}},
		{"an address for a network", corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.1/24"}}}, []string{"spec.podCIDRs[0]: FieldValueInvalid"}},
		{"taints of one key", corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{taint("a", "", "NoSchedule"), taint("a", "", "NoExecute")}}}, nil},
		{"one taint twice", corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{taint("a", "", "NoSchedule"), taint("a", "x", "NoSchedule")}}}, []string{"metadata.taints[1]: FieldValueDuplicate"}},
		{"a taint without effect", corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{taint("a", "", "")}}}, []string{"metadata.taints[0].effect: FieldValueRequired"}},
		{"no capacity", corev1.Node{Status: corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("0")}}}, nil},
		{"less than no capacity", corev1.Node{Status: corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("-1m")}}}, []string{"status.capacity.cpu: FieldValueInvalid"}},
		{"a part of a device", corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{"x.io/gpu": resource.MustParse("500m")}}}, []string{"status.allocatable.x.io/gpu: FieldValueInvalid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fieldsOf(validateNewNode(&test.node)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatNodesMayChange(t *testing.T) {
	spec := func(id string, networks ...string) corev1.Node {
		return corev1.Node{Spec: corev1.NodeSpec{ProviderID: id, PodCIDRs: networks}}
	}
	for _, test := range []struct {
		name     string
		was, now corev1.Node
		want     []string
	}{
		{"to have a network", spec(""), spec("", "10.0.0.0/24"), nil},
		{"its network", spec("", "10.0.0.0/24"), spec("", "10.0.1.0/24"), []string{"spec.podCIDRs: FieldValueForbidden"}},
		{"to have no network", spec("", "10.0.0.0/24"), spec(""), []string{"spec.podCIDRs: FieldValueForbidden"}},
		{"to have a provider", spec(""), spec("cloud://a"), nil},
		{"its provider", spec("cloud://a"), spec("cloud://b"), []string{"spec.providerID: FieldValueForbidden"}},
		{"its former id", spec(""), corev1.Node{Spec: corev1.NodeSpec{DoNotUseExternalID: "x"}}, []string{"spec.externalID: FieldValueForbidden"}},
		{"its taints and its former id", spec(""), corev1.Node{Spec: corev1.NodeSpec{DoNotUseExternalID: "x", Taints: []corev1.Taint{{Key: "k"}}}},
			[]string{"metadata.taints[0].effect: FieldValueRequired", "spec.externalID: FieldValueForbidden"}},
		{"to repeat an address", spec(""), corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: "Hostname", Address: "a"}, {Type: "Hostname", Address: "a"}}}},
			[]string{"status.addresses[1]: FieldValueDuplicate"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fieldsOf(validateChangedNode(&test.now, &test.was)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestNodesWarnWithEveryWrite(t *testing.T) {
	n := &corev1.Node{Spec: corev1.NodeSpec{DoNotUseExternalID: "x", PodCIDRs: []string{"FD00::/64"}, ConfigSource: &corev1.NodeConfigSource{}}}
	want := []string{"spec.configSource: the feature is removed", "spec.externalID: this field is deprecated, and is unused by Kubernetes",
		`spec.podCIDRs[0]: IPv6 CIDR value "FD00::/64" should be in RFC 5952 canonical format ("fd00::/64")`}
	for _, old := range []*corev1.Node{nil, n} {
		if got := warnNode(context.Background(), n, old); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPodNetworksOfNodesFollowEachOther(t *testing.T) {
	for _, test := range []struct {
		one  string
		list []string
		want []string
	}{
		{"10.0.0.0/24", nil, []string{"10.0.0.0/24"}},
		{"", []string{"10.0.0.0/24", "fd00::/64"}, []string{"10.0.0.0/24", "fd00::/64"}},
		{"10.0.0.0/24", []string{"10.0.1.0/24"}, []string{"10.0.0.0/24"}},
	} {
		n := &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: test.one, PodCIDRs: test.list}}
		defaultNode(n)
		if !slices.Equal(n.Spec.PodCIDRs, test.want) || n.Spec.PodCIDR != test.want[0] {
			t.Errorf("%q %v becomes %q %v", test.one, test.list, n.Spec.PodCIDR, n.Spec.PodCIDRs)
		}
	}
}

func TestNodeRow(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
			Labels: map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "edge"}},
		Spec: corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1", KernelVersion: "6.1", Architecture: "amd64"},
		},
	}
	want := []any{"n", "NotReady,SchedulingDisabled", "edge,worker", "60m", "v1", "10.0.0.1", "<none>", "<unknown>", "6.1 (amd64)", "<unknown>"}
	if diff := cmp.Diff(want, column.At(nodeRow(n), now)); diff != "" {
		t.Error(diff)
	}
}
