package advertise

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func advertiser(access resource.Access, address string) *Advertiser {
	return New(Config{
		Access: access, Networks: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}, Address: netip.MustParseAddr(address), Port: 6443, Process: "p",
		Clock: clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), Log: logr.Discard(),
	})
}

// led are the addresses that endpoints and slice lead to.
func led(t *testing.T, access *resourcetest.Access) []string {
	t.Helper()
	ctx := context.Background()
	o, err := access.Get(ctx, endpoints, metav1.NamespaceDefault, name)
	if err != nil {
		t.Fatal(err)
	}
	var inEndpoints, inSlice []string
	for _, s := range o.(*corev1.Endpoints).Subsets {
		for _, a := range s.Addresses {
			inEndpoints = append(inEndpoints, a.IP)
		}
	}
	if o, err = access.Get(ctx, slicesOf, metav1.NamespaceDefault, name); err != nil {
		t.Fatal(err)
	}
	for _, e := range o.(*discoveryv1.EndpointSlice).Endpoints {
		inSlice = append(inSlice, e.Addresses...)
	}
	if !slices.Equal(inEndpoints, inSlice) {
		t.Errorf("endpoints lead to %v, the slice to %v", inEndpoints, inSlice)
	}
	return inEndpoints
}

func TestEveryServerThatIsAliveIsLedTo(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	one, two := advertiser(access, "192.0.2.2"), advertiser(access, "192.0.2.1")
	for _, a := range []*Advertiser{one, two, one} {
		if err := a.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := led(t, access); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("led to %v", got)
	}
	if err := two.Withdraw(ctx); err != nil {
		t.Fatal(err)
	}
	if got := led(t, access); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Errorf("after one has left: %v", got)
	}
	if err := one.Withdraw(ctx); err != nil {
		t.Fatal(err)
	}
	if got := led(t, access); got != nil {
		t.Errorf("after all have left: %v", got)
	}
}

func TestServiceAndNetworkAreMadeAndPutRight(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	a := advertiser(access, "192.0.2.2")
	if err := a.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	o, err := access.Get(ctx, networks, "", name)
	if err != nil || !hasReady(o.(*networkingv1.ServiceCIDR)) || !slices.Equal(o.(*networkingv1.ServiceCIDR).Spec.CIDRs, []string{"10.96.0.0/16"}) {
		t.Errorf("%v %v", o, err)
	}
	_, err = access.Update(ctx, services, "", metav1.NamespaceDefault, name, func(o resource.Object) error {
		s := o.(*corev1.Service)
		if s.Spec.ClusterIP != "10.96.0.1" {
			t.Errorf("the service is at %s", s.Spec.ClusterIP)
		}
		s.Spec.Ports[0].TargetPort.IntVal = 1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if o, err = access.Get(ctx, services, metav1.NamespaceDefault, name); err != nil || o.(*corev1.Service).Spec.Ports[0].TargetPort.IntVal != 6443 {
		t.Errorf("%v %v", o, err)
	}
}

// behind has not seen any lease yet.
type behind struct{ *resourcetest.Access }

func (behind) List(context.Context, schema.GroupResource, string) ([]resource.Object, error) {
	return nil, nil
}

// blind loses all leases.
type blind struct{ behind }

func (blind) GetLive(_ context.Context, r schema.GroupResource, _, name string) (resource.Object, error) {
	return nil, apierrors.NewNotFound(r, name)
}

func TestTheOwnLeaseIsSeenAtOnce(t *testing.T) {
	access := resourcetest.New()
	if err := advertiser(behind{access}, "192.0.2.2").Reconcile(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := led(t, access); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Errorf("led to %v", got)
	}
}

func TestEndpointsStayWhereNoLeaseIsFound(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	if err := advertiser(access, "192.0.2.2").Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if err := advertiser(blind{behind{access}}, "192.0.2.2").Reconcile(ctx); err == nil {
		t.Error("finding no lease, not even the own one, is an error")
	}
	if got := led(t, access); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Errorf("led to %v", got)
	}
}

func TestRunLeavesWhenItEnds(t *testing.T) {
	access := resourcetest.New()
	a := advertiser(access, "192.0.2.2")
	if err := a.Reconcile(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the test is over"))
	a.Run(ctx)
	if _, err := access.Get(context.Background(), leases, "", "192.0.2.2"); !apierrors.IsNotFound(err) {
		t.Errorf("the lease: %v", err)
	}
	if got := led(t, access); got != nil {
		t.Errorf("led to %v", got)
	}
}

func TestRenewalRaisesTheGeneration(t *testing.T) {
	old := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Generation: 4}}
	now := old.DeepCopy()
	r := Leases()
	r.Prepare(context.Background(), now, old)
	if now.Generation != 5 {
		t.Errorf("generation %d: an unchanged object is not written, and its time would end", now.Generation)
	}
	if ttl := r.TTL(now); ttl <= every {
		t.Errorf("a lease of %s ends before it is renewed every %s", ttl, every)
	}
}

func TestEachServerIsKnownByALeaseUntilItStaysAway(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	on := func(host, address string) *Advertiser {
		a := advertiser(access, address)
		a.Host, a.Clock = host, clock
		return a
	}
	known := func() (hosts []string) {
		all, err := access.List(ctx, identities, metav1.NamespaceSystem)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			hosts = append(hosts, o.GetLabels()[corev1.LabelHostname])
		}
		slices.Sort(hosts)
		return hosts
	}
	other := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "kube-scheduler", Labels: map[string]string{corev1.LabelHostname: "none"}}}
	if _, err := access.Create(ctx, identities, other); err != nil {
		t.Fatal(err)
	}
	one, two := on("one", "192.0.2.1"), on("two", "192.0.2.2")
	for _, a := range []*Advertiser{one, two, one} {
		if err := a.Identify(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := known(); !slices.Equal(got, []string{"none", "one", "two"}) {
		t.Errorf("known are %v", got)
	}
	clock.Step(time.Hour)
	if err := one.Identify(ctx); err != nil {
		t.Fatal(err)
	}
	clock.Step(time.Second)
	if err := one.Identify(ctx); err != nil {
		t.Fatal(err)
	}
	if got := known(); !slices.Equal(got, []string{"none", "one"}) {
		t.Errorf("an hour later known are %v", got)
	}
	if id := identityOf("kind-control-plane"); len(id) != len("apiserver-")+26 {
		t.Errorf("the name of a lease is %s", id)
	}
}

// TestAWrongClockTakesNoServersLease has two servers whose clocks differ by more than the leases last.
func TestAWrongClockTakesNoServersLease(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clocks := []*clocktesting.FakeClock{clocktesting.NewFakeClock(at), clocktesting.NewFakeClock(at.Add(2 * time.Hour))}
	servers := []*Advertiser{advertiser(access, "192.0.2.1"), advertiser(access, "192.0.2.2")}
	made := map[string]types.UID{}
	for turn := range 30 {
		for i, a := range servers {
			a.Host, a.Clock = fmt.Sprint("host", i), clocks[i]
			if err := a.Identify(ctx); err != nil {
				t.Fatal(err)
			}
			clocks[i].Step(every)
		}
		all, err := access.List(ctx, identities, metav1.NamespaceSystem)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if turn == 0 {
				made[o.GetName()] = o.GetUID()
			} else if o.GetUID() != made[o.GetName()] {
				t.Fatalf("turn %d: the lease %s is another", turn, o.GetName())
			}
		}
		if len(all) != len(servers) || len(made) != len(servers) {
			t.Fatalf("turn %d: there are %d leases", turn, len(all))
		}
	}
	for range stillFor/every + 1 { // and now the other has gone
		if err := servers[1].Identify(ctx); err != nil {
			t.Fatal(err)
		}
		clocks[1].Step(every)
	}
	if all, err := access.List(ctx, identities, metav1.NamespaceSystem); err != nil || len(all) != 1 {
		t.Errorf("a server that is gone has a lease: %d, %v", len(all), err)
	}
}

// refusing takes no object of one resource.
type refusing struct {
	*resourcetest.Access
	of  schema.GroupResource
	err error
}

func (f refusing) Create(ctx context.Context, r schema.GroupResource, o resource.Object) (resource.Object, error) {
	if r == f.of {
		return nil, f.err
	}
	return f.Access.Create(ctx, r, o)
}

func TestOnlyAnAddressThatIsNotTakenIsExcused(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{}, name, nil)
	for r, excused := range map[schema.GroupResource]bool{services: false, leases: false, endpoints: true} {
		err := advertiser(refusing{resourcetest.New(), r, invalid}, "127.0.0.1").Reconcile(context.Background())
		if err == nil || errors.Is(err, ErrAddress) != excused {
			t.Errorf("%v are refused: %v", r, err)
		}
	}
}

func TestAServerWhoseHostNoLabelCanNameIsLedTo(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	a := advertiser(refusing{access, identities, apierrors.NewInvalid(schema.GroupKind{}, name, nil)}, "192.0.2.2")
	if err := a.Reconcile(ctx); err != nil {
		t.Error(err)
	}
	if got := led(t, access); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Errorf("led to %v", got)
	}
	if err := a.Identify(ctx); !apierrors.IsInvalid(err) {
		t.Errorf("its identity: %v", err)
	}
}

// late has another make each object just before.
type late struct{ *resourcetest.Access }

func (l late) Create(ctx context.Context, r schema.GroupResource, o resource.Object) (resource.Object, error) {
	if _, err := l.Access.Create(ctx, r, o.DeepCopyObject().(resource.Object)); err != nil {
		return nil, err
	}
	return nil, apierrors.NewAlreadyExists(r, o.GetName())
}

func TestServersThatStartAtOnceShareTheirObjects(t *testing.T) {
	access, ctx := resourcetest.New(), context.Background()
	a := advertiser(late{access}, "192.0.2.2")
	if err := errors.Join(a.Reconcile(ctx), a.Identify(ctx)); err != nil {
		t.Error(err)
	}
	if o, err := access.Get(ctx, identities, metav1.NamespaceSystem, identityOf(a.Host)); err != nil || *o.(*coordinationv1.Lease).Spec.HolderIdentity != a.holder {
		t.Errorf("%v %v", o, err)
	}
}
