package namespace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// conditions sets the five conditions by which a namespace tells why it is not gone yet.
func conditions(status *corev1.NamespaceStatus, discoveryErr, parseErr error, left remains, now time.Time) bool {
	var content, finalizers error
	if len(left.left) > 0 {
		var parts []string
		for resource, n := range left.left {
			parts = append(parts, fmt.Sprintf("%s has %d resource instances", name(resource.Resource, resource.Group), n))
		}
		slices.Sort(parts)
		content = errors.New("Some resources are remaining: " + strings.Join(parts, ", "))
	}
	if len(left.finalizer) > 0 {
		var parts []string
		for _, f := range slices.Sorted(maps.Keys(left.finalizer)) {
			parts = append(parts, fmt.Sprintf("%s in %d resource instances", f, left.finalizer[f]))
		}
		finalizers = errors.New("Some content in the namespace has finalizers remaining: " + strings.Join(parts, ", "))
	}
	var failure error
	if len(left.failures) > 0 {
		var parts []string
		for _, err := range left.failures {
			parts = append(parts, err.Error())
		}
		slices.Sort(parts)
		failure = fmt.Errorf("Failed to delete all resource types, %d remaining: %s", len(parts), strings.Join(parts, ", "))
	}
	if some := (*discovery.ErrGroupDiscoveryFailed)(nil); errors.As(discoveryErr, &some) {
		discoveryErr = fmt.Errorf("Discovery failed for some groups, %d failing: %w", len(some.Groups), discoveryErr)
	}
	changed := false
	for _, c := range []struct {
		kind           corev1.NamespaceConditionType
		err            error
		bad, good, all string
	}{
		{corev1.NamespaceDeletionDiscoveryFailure, discoveryErr, "DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered"},
		{corev1.NamespaceDeletionGVParsingFailure, parseErr, "GroupVersionParsingFailed", "ParsedGroupVersions", "All legacy kube types successfully parsed"},
		{corev1.NamespaceDeletionContentFailure, failure, "ContentDeletionFailed", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"},
		{corev1.NamespaceContentRemaining, content, "SomeResourcesRemain", "ContentRemoved", "All content successfully removed"},
		{corev1.NamespaceFinalizersRemaining, finalizers, "SomeFinalizersRemain", "ContentHasNoFinalizers", "All content-preserving finalizers finished"},
	} {
		next := corev1.NamespaceCondition{Type: c.kind, Status: corev1.ConditionFalse, Reason: c.good, Message: c.all}
		if c.err != nil {
			next.Status, next.Reason, next.Message = corev1.ConditionTrue, c.bad, c.err.Error()
		}
		changed = set(status, next, now) || changed
	}
	return changed
}

func name(resource, group string) string { return resource + "." + group }

func set(status *corev1.NamespaceStatus, c corev1.NamespaceCondition, now time.Time) bool {
	c.LastTransitionTime = metav1.NewTime(now)
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return false
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return true
	}
	status.Conditions = append(status.Conditions, c)
	return true
}
