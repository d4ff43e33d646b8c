package core

import (
	"context"
	"errors"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestComponentsTellTheirHealth(t *testing.T) {
	r := ComponentStatus([]Component{
		{Name: "good", Check: func(context.Context) (string, error) { return "ok", nil }},
		{Name: "bad", Check: func(context.Context) (string, error) { return "", errors.New("no answer") }},
	})
	all, err := r.Observe(t.Context(), "")
	if err != nil || len(all) != 2 {
		t.Fatalf("looked at %v: %v", all, err)
	}
	for name, want := range map[string][]any{"good": {"good", "Healthy", "ok", ""}, "bad": {"bad", "Unhealthy", "no answer", ""}} {
		one, err := r.Observe(t.Context(), name)
		if err != nil || len(one) != 1 {
			t.Fatalf("looked at %v: %v", one, err)
		}
		if got := componentRow(one[0].(*corev1.ComponentStatus)); !reflect.DeepEqual(got, want) {
			t.Errorf("row %v, want %v", got, want)
		}
	}
	if _, err := r.Observe(t.Context(), "none"); err == nil || err.Error() != "Component not found: none" {
		t.Errorf("looked for a component that there is not: %v", err)
	}
}
