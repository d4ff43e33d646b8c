package core

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testclock "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// changing lets another write come before the first update that passes through it.
type changing struct {
	*resourcetest.Access
	once   sync.Once
	change func(resource.Object) error
}

func (c *changing) Update(ctx context.Context, r schema.GroupResource, subresource, namespace, name string, change func(resource.Object) error) (resource.Object, error) {
	c.once.Do(func() { _, _ = c.Access.Update(ctx, r, subresource, namespace, name, c.change) })
	return c.Access.Update(ctx, r, subresource, namespace, name, change)
}

func TestAPodThatChangesWhileItIsEvicted(t *testing.T) {
	for _, test := range []struct {
		name     string
		phase    corev1.PodPhase
		version  bool // the client names the version that it means
		code     int32
		retryFor int32
	}{
		{"a pending one is looked at again", corev1.PodPending, false, 0, 0},
		{"an ended one goes as it is", corev1.PodFailed, false, 0, 0},
		{"an unhealthy one is to be asked for again", corev1.PodRunning, false, 429, 10},
		{"a pending one in another version is another", corev1.PodPending, true, 409, 0},
		{"an unhealthy one in another version is another", corev1.PodRunning, true, 409, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			access := resourcetest.New()
			labels := map[string]string{"a": "b"}
			pod, err := access.Create(t.Context(), podResource, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Labels: labels}, Status: corev1.PodStatus{Phase: test.phase}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := access.Create(t.Context(), budgetResource, &policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "b"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}},
				Status: policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 1, DesiredHealthy: 1},
			}); err != nil {
				t.Fatal(err)
			}
			body := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
			if test.version {
				body.DeleteOptions = &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: new(pod.GetResourceVersion())}}
			}
			d := PodDeps{Clock: testclock.NewFakePassiveClock(time.Unix(0, 0)), Access: &changing{Access: access, change: func(o resource.Object) error {
				o.SetAnnotations(map[string]string{"another": "was here"})
				return nil
			}}}
			e, err := newEviction(d, "n", "p", body, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.do(t.Context())
			var code, retry int32
			if status, is := err.(apierrors.APIStatus); is {
				code = status.Status().Code
				if status.Status().Details != nil {
					retry = status.Status().Details.RetryAfterSeconds
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if code != test.code || retry != test.retryFor {
				t.Errorf("answers %d, again in %d s (%v), want %d, %d", code, retry, err, test.code, test.retryFor)
			}
			_, err = access.Get(t.Context(), podResource, "n", "p")
			if gone := apierrors.IsNotFound(err); gone != (test.code == 0) {
				t.Errorf("gone: %v", gone)
			}
		})
	}
}

func TestABudgetSaysWhyItAllowsNothing(t *testing.T) {
	told := func(reason string) []metav1.Condition {
		return []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: reason, Message: "m"}}
	}
	for _, test := range []struct {
		status policyv1.PodDisruptionBudgetStatus
		want   string
	}{
		{policyv1.PodDisruptionBudgetStatus{Conditions: told(policyv1.SyncFailedReason), DesiredHealthy: 2}, "The disruption budget b does not allow evicting pods currently because it failed sync: m"},
		{policyv1.PodDisruptionBudgetStatus{Conditions: told("Other"), CurrentHealthy: 2, DesiredHealthy: 2}, "The disruption budget b needs 2 healthy pods and has 2 currently"},
		{policyv1.PodDisruptionBudgetStatus{Conditions: told("Other"), CurrentHealthy: 2, DesiredHealthy: 1}, "The disruption budget b does not allow evicting pods currently (Other): m"},
		{policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 2, DesiredHealthy: 1}, "The disruption budget b does not allow evicting pods currently"},
	} {
		if got := whyNone(&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Status: test.status}); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
