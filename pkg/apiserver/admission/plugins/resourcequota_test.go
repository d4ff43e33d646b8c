package plugins

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
	"github.com/sampan-project/sampan/pkg/quota"
)

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = quantity.MustParse(pairs[i+1])
	}
	return list
}

func limiting(name string, hard, used corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard, Scopes: scopes},
		Status:     corev1.ResourceQuotaStatus{Hard: hard, Used: used},
	}
}

func podAsking(requests corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "c", Resources: corev1.ResourceRequirements{Requests: requests}},
	}}}
}

func write(op admission.Operation, plural string, obj, old runtime.Object) *admission.Attributes {
	return &admission.Attributes{Operation: op, Resource: schema.GroupVersionResource{Version: "v1", Resource: plural}, Namespace: "n", Object: obj, OldObject: old}
}

func at(a *admission.Attributes, subresource string) *admission.Attributes {
	a.Subresource = subresource
	return a
}

func dry(a *admission.Attributes) *admission.Attributes {
	a.DryRun = true
	return a
}

func TestQuotaChargesAndRefuses(t *testing.T) {
	stored := func(p *corev1.Pod) *corev1.Pod { p.ResourceVersion = "5"; return p }
	for name, tc := range map[string]struct {
		quota   *corev1.ResourceQuota
		write   *admission.Attributes
		refused string
		used    corev1.ResourceList // nil: as before
	}{
		"what fits exactly": {
			quota: limiting("q", amounts("pods", "2"), amounts("pods", "1")), write: write(admission.Create, "pods", podAsking(nil), nil),
			used: amounts("pods", "2"),
		},
		"one too many": {
			quota: limiting("q", amounts("pods", "2"), amounts("pods", "2")), write: write(admission.Create, "pods", podAsking(nil), nil),
			refused: `pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`,
		},
		"only what is exceeded is named": {
			quota:   limiting("q", amounts("pods", "2", "requests.cpu", "1"), amounts("pods", "0", "requests.cpu", "500m")),
			write:   write(admission.Create, "pods", podAsking(amounts("cpu", "1")), nil),
			refused: `pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=500m, limited: requests.cpu=1`,
		},
		"what is not said": {
			quota: limiting("q", amounts("cpu", "2"), amounts("cpu", "0")), write: write(admission.Create, "pods", podAsking(nil), nil),
			refused: `pods "p" is forbidden: failed quota: q: must specify cpu for: c`,
		},
		"before it was counted": {
			quota: limiting("q", amounts("pods", "2", "count/pods", "1"), amounts("pods", "0")), write: write(admission.Create, "pods", podAsking(nil), nil),
			refused: `pods "p" is forbidden: status unknown for quota: q, resources: count/pods,pods`,
		},
		"a negative amount": {
			quota: limiting("q", amounts("pods", "2"), amounts("pods", "0")), write: write(admission.Create, "pods", podAsking(amounts("cpu", "-1")), nil),
			refused: `pods "p" is forbidden: quota usage is negative for resource(s): cpu,requests.cpu`,
		},
		"out of scope": {
			quota: limiting("q", amounts("pods", "0"), amounts("pods", "0"), corev1.ResourceQuotaScopeNotBestEffort), write: write(admission.Create, "pods", podAsking(nil), nil),
		},
		"a dry run is judged": {
			quota: limiting("q", amounts("pods", "0"), amounts("pods", "0")), write: dry(write(admission.Create, "pods", podAsking(nil), nil)),
			refused: `pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`,
		},
		"and not charged": {
			quota: limiting("q", amounts("pods", "1"), amounts("pods", "0")), write: dry(write(admission.Create, "pods", podAsking(nil), nil)),
		},
		"a resize is charged what it adds": {
			quota: limiting("q", amounts("cpu", "3", "pods", "1"), amounts("cpu", "1", "pods", "1")),
			write: at(write(admission.Update, "pods", stored(podAsking(amounts("cpu", "3"))), stored(podAsking(amounts("cpu", "1")))), "resize"),
			used:  amounts("cpu", "3", "pods", "1"),
		},
		"a resize that is too much": {
			quota:   limiting("q", amounts("cpu", "3"), amounts("cpu", "1")),
			write:   at(write(admission.Update, "pods", stored(podAsking(amounts("cpu", "4"))), stored(podAsking(amounts("cpu", "1")))), "resize"),
			refused: `pods "p" is forbidden: exceeded quota: q, requested: cpu=3, used: cpu=1, limited: cpu=3`,
		},
		"a resize that gives back": {
			quota: limiting("q", amounts("cpu", "1"), amounts("cpu", "5")),
			write: at(write(admission.Update, "pods", stored(podAsking(amounts("cpu", "1"))), stored(podAsking(amounts("cpu", "5")))), "resize"),
		},
		"other updates of pods are free": {
			quota: limiting("q", amounts("cpu", "1"), amounts("cpu", "1")),
			write: write(admission.Update, "pods", stored(podAsking(amounts("cpu", "4"))), stored(podAsking(amounts("cpu", "1")))),
		},
		"objects": {
			quota:   limiting("q", amounts("count/secrets", "0"), amounts("count/secrets", "0")),
			write:   write(admission.Create, "secrets", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, nil),
			refused: `secrets "s" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0`,
		},
		"events are free": {
			quota: limiting("q", amounts("count/events", "0"), amounts("count/events", "0")), write: write(admission.Create, "events", &corev1.Event{}, nil),
		},
		"a service that becomes a load balancer": {
			quota: limiting("q", amounts("services", "1", "services.loadbalancers", "0"), amounts("services", "1", "services.loadbalancers", "0")),
			write: write(admission.Update, "services",
				&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}},
				&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s", ResourceVersion: "5"}}),
			refused: `services "s" is forbidden: exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			access := resourcetest.New()
			if _, err := access.Create(t.Context(), quotas, tc.quota.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			plugin := resourceQuota(&Config{Access: access, Now: time.Now})
			err := plugin.Validate(t.Context(), tc.write)
			if got := fmt.Sprint(err); err == nil && tc.refused != "" || err != nil && got != tc.refused {
				t.Errorf("answers %v\nwant %s", err, tc.refused)
			}
			want := tc.used
			if want == nil {
				want = tc.quota.Status.Used
			}
			obj, err := access.Get(t.Context(), quotas, "n", "q")
			if err != nil {
				t.Fatal(err)
			}
			if got := obj.(*corev1.ResourceQuota).Status.Used; !quota.Equal(got, want) {
				t.Errorf("used: %s, want %s", quota.Show(got), quota.Show(want))
			}
		})
	}
}

// TestTwoQuotasAreChargedTogetherOrNotAtAll: what one refuses the other is not charged for.
func TestTwoQuotasAreChargedTogetherOrNotAtAll(t *testing.T) {
	access := resourcetest.New()
	for _, q := range []*corev1.ResourceQuota{limiting("free", amounts("pods", "5"), amounts("pods", "0")), limiting("full", amounts("count/pods", "1"), amounts("count/pods", "1"))} {
		if _, err := access.Create(t.Context(), quotas, q); err != nil {
			t.Fatal(err)
		}
	}
	err := resourceQuota(&Config{Access: access, Now: time.Now}).Validate(t.Context(), write(admission.Create, "pods", podAsking(nil), nil))
	if !apierrors.IsForbidden(err) {
		t.Fatalf("answers %v", err)
	}
	obj, err := access.Get(t.Context(), quotas, "n", "free")
	if err != nil {
		t.Fatal(err)
	}
	if used := obj.(*corev1.ResourceQuota).Status.Used; !quota.Equal(used, amounts("pods", "0")) {
		t.Errorf("the other quota was charged: %s", quota.Show(used))
	}
}

// between does something before the first update that passes through it.
type between struct {
	resource.Access
	once sync.Once
	do   func()
}

func (b *between) Update(ctx context.Context, r schema.GroupResource, subresource, namespace, name string, change func(resource.Object) error) (resource.Object, error) {
	b.once.Do(b.do)
	return b.Access.Update(ctx, r, subresource, namespace, name, change)
}

// TestWhatAnotherServerHasChargedMeanwhileCounts: of what two servers see left, only one may give the last.
func TestWhatAnotherServerHasChargedMeanwhileCounts(t *testing.T) {
	for theirs, want := range map[int]string{1: "", 2: `pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10`} {
		access := resourcetest.New()
		if _, err := access.Create(t.Context(), quotas, limiting("q", amounts("pods", "10"), amounts("pods", "8"))); err != nil {
			t.Fatal(err)
		}
		another := resourceQuota(&Config{Access: access, Now: time.Now})
		here := resourceQuota(&Config{Now: time.Now, Access: &between{Access: access, do: func() {
			for range theirs {
				if err := another.Validate(t.Context(), write(admission.Create, "pods", podAsking(nil), nil)); err != nil {
					t.Error(err)
				}
			}
		}}})
		err := here.Validate(t.Context(), write(admission.Create, "pods", podAsking(nil), nil))
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("after %d of another: %v, want %q", theirs, err, want)
		}
		obj, err := access.Get(t.Context(), quotas, "n", "q")
		if err != nil {
			t.Fatal(err)
		}
		if used := obj.(*corev1.ResourceQuota).Status.Used; !quota.Equal(used, amounts("pods", "10")) {
			t.Errorf("after %d of another: used %s", theirs, quota.Show(used))
		}
	}
}

// TestChargesAtOnceAdmitWhatFits: the ledger settles together what waits together.
func TestChargesAtOnceAdmitWhatFits(t *testing.T) {
	access := resourcetest.New()
	if _, err := access.Create(t.Context(), quotas, limiting("q", amounts("pods", "10"), amounts("pods", "0"))); err != nil {
		t.Fatal(err)
	}
	plugin := resourceQuota(&Config{Access: access, Now: time.Now})
	var admitted atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch err := plugin.Validate(context.Background(), write(admission.Create, "pods", podAsking(nil), nil)); {
			case err == nil:
				admitted.Add(1)
			case !apierrors.IsForbidden(err):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 10 {
		t.Errorf("%d were admitted", n)
	}
}
