package plugins

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/quota"
)

var quotas = schema.GroupResource{Resource: "resourcequotas"}

// uncharged are resources of a namespace that no quota counts: what is not stored, and events.
var uncharged = []schema.GroupResource{
	{Resource: "bindings"}, {Resource: "events"}, {Group: "events.k8s.io", Resource: "events"},
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"},
}

// resourceQuota charges what a write uses to the quotas of its namespace, and refuses what they do not allow.
func resourceQuota(cfg *Config) admission.Plugin {
	limited, err := limitedResources(cfg)
	cfg.refuse("ResourceQuota", err)
	l := &ledger{access: cfg.Access, limited: limited, now: cfg.Now, waiting: map[string][]*charge{}}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		if a.Namespace == "" || a.Object == nil ||
			a.Is("", "namespaces", a.Subresource) || slices.Contains(uncharged, a.Resource.GroupResource()) {
			return nil
		}
		limiting, err := list[*corev1.ResourceQuota](ctx, cfg.Access, quotas, a.Namespace)
		if err != nil || len(limiting) == 0 && len(limited) == 0 {
			return err // most namespaces have none
		}
		counter := quota.For(a.Resource.GroupResource())
		if !counter.Charged(quota.Write{Create: a.Operation == admission.Create, Subresource: a.Subresource, Object: a.Object, Old: a.OldObject}) {
			return nil
		}
		return l.charge(ctx, a, counter)
	}}
}

// bill says what a write adds to the use of each quota that it falls under. It refuses a write that a quota
// cannot judge, and one that uses what is limited by default and no quota covers. The quotas' status is what they hold
// so far.
func bill(all []*corev1.ResourceQuota, limited []limitedResource, a *admission.Attributes, counter quota.Counter,
	now time.Time) (map[string]corev1.ResourceList, error) {
	need, err := needed(limited, a, counter, now)
	if err != nil {
		return nil, nil // as in kube-apiserver, scopes of the configuration that make no sense let all through
	}
	var under []*corev1.ResourceQuota
	for _, q := range all {
		in, err := counter.Holding(quota.Scopes(&q.Spec), a.Object)
		if err != nil {
			return nil, fmt.Errorf("error matching scopes of quota %s, err: %w", q.Name, err)
		}
		need.coverScopes(in)
		names := counter.Names(q.Status.Hard)
		if len(names) == 0 || len(in) < len(quota.Scopes(&q.Spec)) {
			continue
		}
		if err := judges(q, names, a, counter); err != nil {
			return nil, err
		}
		need.coverNames(names)
		under = append(under, q)
	}
	use := counter.Use(a.Object, now)
	if below := quota.Negative(use); len(below) > 0 {
		return nil, admission.Forbidden(a, fmt.Errorf("quota usage is negative for resource(s): %s", quota.ShowNames(below)))
	}
	grows := len(under) == 0 && len(quota.WithoutZeros(growth(counter, use, stored(a), now))) > 0
	out := map[string]corev1.ResourceList{}
	for _, q := range under {
		more, err := added(counter, q, use, stored(a), now)
		if err != nil {
			return nil, err
		}
		grows = grows || len(quota.WithoutZeros(more)) > 0
		if more = quota.WithoutZeros(quota.Only(more, quota.Names(q.Status.Hard))); len(more) > 0 {
			out[q.Name] = more
		}
	}
	if !grows {
		return nil, nil
	}
	return out, need.missing(a)
}

// judges refuses a write that a quota covers and cannot judge.
func judges(q *corev1.ResourceQuota, names []corev1.ResourceName, a *admission.Attributes,
	counter quota.Counter) error {
	if counter.Requires != nil {
		if err := counter.Requires(names, a.Object); err != nil {
			return admission.Forbidden(a, fmt.Errorf("failed quota: %s: %w", q.Name, err))
		}
	}
	if slices.ContainsFunc(names, func(n corev1.ResourceName) bool { _, known := q.Status.Used[n]; return !known }) {
		return admission.Forbidden(a, fmt.Errorf("status unknown for quota: %s, resources: %s", q.Name, quota.ShowNames(names)))
	}
	return nil
}

// stored is the object as it stands before an update; nil where the write creates it.
func stored(a *admission.Attributes) runtime.Object {
	if a.Operation != admission.Update || a.OldObject == nil {
		return nil
	}
	if m, is := a.OldObject.(metav1.Object); is && m.GetResourceVersion() == "" {
		return nil
	}
	return a.OldObject
}

// added is what a write adds to a quota: all that the object uses, or where the quota held it before, by how
// much it uses more.
func added(counter quota.Counter, q *corev1.ResourceQuota, use corev1.ResourceList, old runtime.Object, now time.Time) (corev1.ResourceList, error) {
	if old == nil {
		return use, nil
	}
	held, err := counter.Covers(&q.Spec, old)
	if err != nil || !held {
		return use, err
	}
	return growth(counter, use, old, now), nil
}

// growth is by how much more is used than the object used before, if it was there.
func growth(counter quota.Counter, use corev1.ResourceList, old runtime.Object, now time.Time) corev1.ResourceList {
	if old == nil {
		return use
	}
	return quota.Growth(use, counter.Use(old, now))
}

// fits refuses a write that would exceed a quota. What is only reported (a status) is charged but not refused.
func fits(q *corev1.ResourceQuota, more corev1.ResourceList, a *admission.Attributes) error {
	if a.Subresource == "status" {
		return nil
	}
	over := quota.Exceeding(quota.Only(quota.Add(q.Status.Used, more), quota.Names(more)), q.Status.Hard)
	if len(over) == 0 {
		return nil
	}
	return admission.Forbidden(a, fmt.Errorf("exceeded quota: %s, requested: %s, used: %s, limited: %s", q.Name,
		quota.Show(quota.Only(more, over)), quota.Show(quota.Only(q.Status.Used, over)), quota.Show(quota.Only(q.Status.Hard, over))))
}
