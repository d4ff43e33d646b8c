package core

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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

func TestRatiosFitBetweenTheLimits(t *testing.T) {
	for _, test := range []struct {
		ratio, least, most string
		want               []string
	}{
		{"3", "100m", "300m", nil},
		{"3001m", "100m", "300m", []string{"ratio 3001m is greater than max/min = 3.000000"}},
		{"2", "8Ei", "8Ei", []string{"ratio 2 is greater than max/min = 1.000000"}},
		{"1", "0", "1", nil},
	} {
		list := func(q string) corev1.ResourceList { return corev1.ResourceList{"cpu": resource.MustParse(q)} }
		obj := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod,
			Min: list(test.least), Max: list(test.most), MaxLimitRequestRatio: list(test.ratio)}}}}
		var got []string
		for _, f := range validateLimitRange(obj) {
			got = append(got, f.Detail)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s between %s and %s: %q, want %q", test.ratio, test.least, test.most, got, test.want)
		}
	}
}
