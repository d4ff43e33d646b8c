package allocation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// began is the time in tests.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func allocator(t *testing.T, network string) (*Allocator, *resourcetest.Access) {
	t.Helper()
	access := resourcetest.New()
	_, err := access.Create(context.Background(), networkResource, &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{network}},
		Status: networkingv1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Access: access, Families: []corev1.IPFamily{corev1.IPv4Protocol}, NodePorts: PortRange{30000, 2768},
		Random: first, Now: func() time.Time { return began }, Log: logr.Discard()}), access
}

func taken(t *testing.T, access *resourcetest.Access) []string {
	t.Helper()
	all, err := access.List(context.Background(), addressResource, "")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, o := range all {
		list = append(list, o.GetName())
	}
	return list
}

func takenPorts(t *testing.T, a *Allocator) []int {
	t.Helper()
	o, err := a.Access.Get(context.Background(), rangeResource, "", rangeName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	p := readPorts(a.NodePorts, o.(*corev1.RangeAllocation).Data)
	var list []int
	for n := p.First; n < p.First+p.Size; n++ {
		if p.has(n) {
			list = append(list, n)
		}
	}
	return list
}

func TestServicesTakeAndGiveBack(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	ctx := context.Background()
	s := service("NodePort", port("TCP", 80, 0))
	undo, _, err := a.Allocate(ctx, s, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if s.Spec.ClusterIP != "10.96.0.17" || !slices.Equal(s.Spec.ClusterIPs, []string{"10.96.0.17"}) || s.Spec.Ports[0].NodePort != 30086 {
		t.Errorf("given %+v", s.Spec)
	}
	if ips, ports := taken(t, access), takenPorts(t, a); !slices.Equal(ips, []string{"10.96.0.17"}) || !slices.Equal(ports, []int{30086}) {
		t.Errorf("taken: %v %v", ips, ports)
	}
	undo()
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips)+len(ports) > 0 {
		t.Errorf("left after undo: %v %v", ips, ports)
	}
	if _, _, err := a.Allocate(ctx, s, nil, false); err != nil {
		t.Fatal(err)
	}
	a.Deleted(ctx, s)
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips)+len(ports) > 0 {
		t.Errorf("left after deletion: %v %v", ips, ports)
	}
}

// fullDisk refuses updates but those on the way to a deletion.
type fullDisk struct{ resource.Access }

func (f fullDisk) Update(ctx context.Context, r schema.GroupResource, subresource, namespace, name string, change func(resource.Object) error) (resource.Object, error) {
	if !storage.IsForDeletion(ctx) {
		return nil, errors.New("the disk is full")
	}
	return f.Access.Update(ctx, r, subresource, namespace, name, change)
}

func TestServicesGiveBackThoughTheDiskIsFull(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	s := service("NodePort", port("TCP", 80, 0))
	if _, _, err := a.Allocate(t.Context(), s, nil, false); err != nil {
		t.Fatal(err)
	}
	a.Access = fullDisk{access}
	if _, _, err := a.Allocate(t.Context(), service("NodePort", port("TCP", 80, 0)), nil, false); err == nil {
		t.Error("a new service took a port")
	}
	a.Deleted(t.Context(), s)
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips)+len(ports) > 0 {
		t.Errorf("left after deletion: %v %v", ips, ports)
	}
}

func TestDryRunTakesNothing(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	s := service("NodePort", port("TCP", 80, 0))
	if _, _, err := a.Allocate(context.Background(), s, nil, true); err != nil {
		t.Fatal(err)
	}
	if s.Spec.ClusterIP == "" || s.Spec.Ports[0].NodePort == 0 {
		t.Errorf("shown: %+v", s.Spec)
	}
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips)+len(ports) > 0 {
		t.Errorf("taken: %v %v", ips, ports)
	}
}

func TestAddressesOfOthersAndOfNoNetworkAreRefused(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	ctx := context.Background()
	holder := service("ClusterIP", port("TCP", 80, 0))
	holder.Name, holder.Spec.ClusterIP = "holder", "10.96.0.10"
	if _, _, err := a.Allocate(ctx, holder, nil, false); err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]string{
		"10.96.0.10":  "failed to allocate IP 10.96.0.10: provided IP is already allocated",
		"10.96.0.0":   "the provided network does not match the current range",
		"10.96.0.255": "the provided network does not match the current range",
		"10.97.0.1":   "the provided network does not match the current range",
	} {
		for _, dryRun := range []bool{true, false} {
			s := service("ClusterIP", port("TCP", 80, 0))
			s.Spec.ClusterIP = ip
			if _, _, err := a.Allocate(ctx, s, nil, dryRun); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", ip, err)
			}
		}
	}
	if got := taken(t, access); !slices.Equal(got, []string{"10.96.0.10"}) {
		t.Errorf("taken: %v", got)
	}
}

func TestRefusedPortGivesTheAddressBack(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	s := service("NodePort", port("TCP", 80, 1))
	if _, _, err := a.Allocate(context.Background(), s, nil, false); !apierrors.IsInvalid(err) {
		t.Fatal(err)
	}
	if got := taken(t, access); got != nil {
		t.Errorf("left: %v", got)
	}
}

func TestConcurrentServicesNeverShare(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/26")
	var wg sync.WaitGroup
	errs := make(chan error, 62)
	for i := range 62 {
		wg.Go(func() {
			s := service("NodePort", port("TCP", 80, 0))
			s.Name = fmt.Sprint("s", i)
			_, _, err := a.Allocate(context.Background(), s, nil, false)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips) != 62 || len(ports) != 62 {
		t.Errorf("%d addresses, %d ports", len(ips), len(ports))
	}
	_, _, err := a.Allocate(context.Background(), service("ClusterIP", port("TCP", 80, 0)), nil, false)
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "range is full") {
		t.Errorf("one more: %v", err)
	}
}

func TestTypesMoveBetweenAddressesAndNames(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	ctx := context.Background()
	s := service("NodePort", port("TCP", 80, 0))
	if _, _, err := a.Allocate(ctx, s, nil, false); err != nil {
		t.Fatal(err)
	}
	named := s.DeepCopy()
	named.Spec.Type = corev1.ServiceTypeExternalName
	undo, release, err := a.Allocate(ctx, named, s, false)
	if err != nil {
		t.Fatal(err)
	}
	undo()
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips) != 1 || len(ports) != 1 {
		t.Errorf("a refused change of type gives nothing back: %v %v", ips, ports)
	}
	release()
	if ips, ports := taken(t, access), takenPorts(t, a); len(ips)+len(ports) > 0 {
		t.Errorf("left: %v %v", ips, ports)
	}
	named.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}
	again := service("ClusterIP", port("TCP", 80, 0))
	if _, _, err := a.Allocate(ctx, again, named, false); err != nil || again.Spec.ClusterIP == "" {
		t.Errorf("%v %v", again.Spec, err)
	}
}

func TestRepairTakesWhatServicesHoldAndFreesTheRest(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	ctx := context.Background()
	s := service("NodePort", port("TCP", 80, 30007))
	s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.7", []string{"10.96.0.7"}
	if _, err := access.Create(ctx, serviceResource, s); err != nil {
		t.Fatal(err)
	}
	gone := service("NodePort", port("TCP", 80, 30008))
	gone.Name, gone.Spec.ClusterIP = "gone", "10.96.0.8"
	if _, _, err := a.Allocate(ctx, gone, nil, false); err != nil {
		t.Fatal(err)
	}
	_, err := access.Update(ctx, addressResource, "", "", "10.96.0.8", func(o resource.Object) error {
		o.SetCreationTimestamp(metav1.NewTime(began.Add(-time.Hour)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range leakRounds {
		if err := a.Repair(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if ips, ports := taken(t, access), takenPorts(t, a); !slices.Equal(ips, []string{"10.96.0.7"}) || !slices.Equal(ports, []int{30007}) {
		t.Errorf("taken: %v %v", ips, ports)
	}
}

func TestPortsSurviveAnotherRange(t *testing.T) {
	a, access := allocator(t, "10.96.0.0/24")
	ctx := context.Background()
	for _, n := range []int32{30001, 32000} {
		s := service("NodePort", port("TCP", 80, n))
		s.Name = fmt.Sprint(n)
		if _, _, err := a.Allocate(ctx, s, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	moved := New(a.Config)
	moved.NodePorts = PortRange{31900, 1000}
	_, _, err := moved.Allocate(ctx, service("NodePort", port("TCP", 80, 32000)), nil, false)
	if err == nil || !strings.Contains(err.Error(), "already allocated") {
		t.Errorf("a port that was taken in the old range: %v", err)
	}
	if len(taken(t, access)) != 2 {
		t.Error("the refused service keeps no address")
	}
}
