package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestLimitRangesNeedNoName(t *testing.T) {
	named, nameless := &corev1.LimitRange{}, &corev1.LimitRange{}
	named.Name = "a"
	for _, obj := range []*corev1.LimitRange{named, nameless} {
		LimitRange().Prepare(t.Context(), obj, nil)
	}
	if named.Name != "a" || len(nameless.Name) != 36 {
		t.Errorf("named %q and %q", named.Name, nameless.Name)
	}
}
