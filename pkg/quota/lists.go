package quota

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func decimal(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }

// Names are those of a list, sorted.
func Names(list corev1.ResourceList) []corev1.ResourceName { return slices.Sorted(maps.Keys(list)) }

// Add sums two lists, name by name.
func Add(a, b corev1.ResourceList) corev1.ResourceList {
	sum := make(corev1.ResourceList, len(a))
	for name, q := range a {
		sum[name] = q.DeepCopy()
	}
	for name, q := range b {
		s, there := sum[name]
		if !there {
			sum[name] = q.DeepCopy()
			continue
		}
		s.Add(q)
		sum[name] = s
	}
	return sum
}

// Growth is by how much a list is more than another, at least nothing, for each name of either.
func Growth(now, before corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range now {
		grown := q.DeepCopy()
		grown.Sub(before[name])
		if grown.Sign() > 0 {
			out[name] = grown
		} else {
			out[name] = decimal(0)
		}
	}
	return out
}

// Only keeps the names given.
func Only(list corev1.ResourceList, names []corev1.ResourceName) corev1.ResourceList {
	out := corev1.ResourceList{}
	for _, name := range names {
		if q, there := list[name]; there {
			out[name] = q
		}
	}
	return out
}

// WithoutZeros leaves out what is not used.
func WithoutZeros(list corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range list {
		if !q.IsZero() {
			out[name] = q
		}
	}
	return out
}

// Negative are the names whose amount is below zero, sorted.
func Negative(list corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(Names(list), func(n corev1.ResourceName) bool { q := list[n]; return q.Sign() >= 0 })
}

// Exceeding are the names of which a list has more than a limit allows, sorted. What has no limit is not
// exceeded.
func Exceeding(list, limits corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(Names(list), func(n corev1.ResourceName) bool {
		limit, limited := limits[n]
		q := list[n]
		return !limited || q.Cmp(limit) <= 0
	})
}

// Equal says whether two lists have the same names and amounts.
func Equal(a, b corev1.ResourceList) bool {
	return maps.EqualFunc(a, b, func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })
}

// Show writes a list as messages do: "cpu=1,pods=2".
func Show(list corev1.ResourceList) string {
	var parts []string
	for _, name := range Names(list) {
		q := list[name]
		parts = append(parts, string(name)+"="+q.String())
	}
	return strings.Join(parts, ",")
}

// ShowNames writes names as messages do.
func ShowNames(names []corev1.ResourceName) string {
	var parts []string
	for _, n := range slices.Sorted(slices.Values(names)) {
		parts = append(parts, string(n))
	}
	return strings.Join(parts, ",")
}
