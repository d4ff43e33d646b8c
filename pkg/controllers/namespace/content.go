package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
)

// resource is a kind of content.
type resource struct {
	schema.GroupVersionResource
	deleteCollection bool
	list             bool
}

// remains is what a pass over the content found.
type remains struct {
	failures  []error
	left      map[schema.GroupResource]int // objects that are still there
	finalizer map[string]int               // objects by finalizer
	estimate  int64                        // seconds until it is worth looking again
}

// discover lists what a namespace can hold. What could be discovered is answered even where a part
// could not, with the error.
func discover(client discovery.DiscoveryInterface) (list []resource, discoveryErr, parseErr error) {
	found, err := discovery.ServerPreferredNamespacedResources(client)
	if err != nil {
		discoveryErr = err
	}
	for _, group := range found {
		gv, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			parseErr = errors.Join(parseErr, err)
			continue
		}
		for _, r := range group.APIResources {
			if !slices.Contains(r.Verbs, "delete") {
				continue
			}
			list = append(list, resource{
				GroupVersionResource: gv.WithResource(r.Name),
				deleteCollection:     slices.Contains(r.Verbs, "deletecollection"), list: slices.Contains(r.Verbs, "list"),
			})
		}
	}
	slices.SortFunc(list, func(a, b resource) int { return compare(a.GroupVersionResource, b.GroupVersionResource) })
	return list, discoveryErr, parseErr
}

// compare puts pods first: what protects them (network policies) and what they use must outlive them.
func compare(a, b schema.GroupVersionResource) int {
	if x, y := isPods(a), isPods(b); x != y {
		if x {
			return -1
		}
		return 1
	}
	return slices.Compare([]string{a.Group, a.Version, a.Resource}, []string{b.Group, b.Version, b.Resource})
}

func isPods(r schema.GroupVersionResource) bool { return r.Group == "" && r.Resource == "pods" }

// deleteAll deletes the content of a namespace and answers what is still there. While there are pods
// nothing else is deleted.
func (r *reconciler) deleteAll(ctx context.Context, namespace string, list []resource) remains {
	result := remains{left: map[schema.GroupResource]int{}, finalizer: map[string]int{}}
	for i, res := range list {
		if i > 0 && isPods(list[i-1].GroupVersionResource) && result.left[list[i-1].GroupResource()] > 0 {
			return result
		}
		left, err := r.deleteOf(ctx, namespace, res)
		if err != nil {
			result.failures = append(result.failures, err)
			if isPods(res.GroupVersionResource) {
				return result
			}
			continue
		}
		if len(left) > 0 {
			result.left[res.GroupResource()] = len(left)
		}
		for _, o := range left {
			for _, f := range o.GetFinalizers() {
				result.finalizer[f]++
			}
		}
		if isPods(res.GroupVersionResource) {
			result.estimate = max(result.estimate, r.graceOf(left))
		} else if len(left) > 0 {
			result.estimate = max(result.estimate, defaultEstimate)
		}
	}
	return result
}

// graceOf is the longest grace period of pods that are going.
func (r *reconciler) graceOf(left []metav1.PartialObjectMetadata) int64 {
	longest := int64(0)
	for _, p := range left {
		grace := ptr.Deref(p.DeletionGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
		longest = max(longest, grace)
	}
	return longest
}

func (r *reconciler) deleteOf(ctx context.Context, namespace string, res resource) ([]metav1.PartialObjectMetadata, error) {
	client := r.metadata.Resource(res.GroupVersionResource).Namespace(namespace)
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if !res.list {
		return nil, nil
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if notServed(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("listing %s: %w", res.GroupResource(), err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	if res.deleteCollection {
		err = client.DeleteCollection(ctx, options, metav1.ListOptions{})
	} else {
		err = nil
		for _, o := range list.Items {
			if e := client.Delete(ctx, o.Name, options); e != nil && !apierrors.IsNotFound(e) {
				err = errors.Join(err, e)
			}
		}
	}
	if err != nil && !notServed(err) {
		return nil, fmt.Errorf("deleting %s: %w", res.GroupResource(), err)
	}
	list, err = client.List(ctx, metav1.ListOptions{})
	if notServed(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("listing %s: %w", res.GroupResource(), err)
	}
	return list.Items, nil
}

func notServed(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}
