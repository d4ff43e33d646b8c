package apiservices

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func keeper() (*Keeper, *resourcetest.Access) {
	a := resourcetest.New()
	return New(Config{Access: a, Locals: []Local{{"apps", "v1", 17800, 15}}, Changed: func() {},
		Clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), Log: logr.Discard()}), a
}

func get(t *testing.T, a *resourcetest.Access, name string) *apiregistrationv1.APIService {
	t.Helper()
	o, err := a.Get(context.Background(), Objects, "", name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.(*apiregistrationv1.APIService)
}

func TestLocalsAreRestoredUnlessTakenOver(t *testing.T) {
	k, a := keeper()
	ctx := context.Background()
	change := func(f func(*apiregistrationv1.APIService)) {
		t.Helper()
		if _, err := a.Update(ctx, Objects, "", "", "v1.apps", func(o resource.Object) error {
			f(o.(*apiregistrationv1.APIService))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := k.EnsureLocals(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s := get(t, a, "v1.apps"); s == nil || s.Labels[managedLabel] != onStart || s.Spec.GroupPriorityMinimum != 17800 {
		t.Fatalf("made: %+v", s)
	}
	change(func(s *apiregistrationv1.APIService) { s.Spec.GroupPriorityMinimum = 1 })
	if err := k.EnsureLocals(ctx); err != nil {
		t.Fatal(err)
	}
	if s := get(t, a, "v1.apps"); s.Spec.GroupPriorityMinimum != 17800 {
		t.Errorf("not restored: %+v", s.Spec)
	}
	change(func(s *apiregistrationv1.APIService) { s.Labels, s.Spec.GroupPriorityMinimum = nil, 1 })
	if err := k.EnsureLocals(ctx); err != nil {
		t.Fatal(err)
	}
	if s := get(t, a, "v1.apps"); s.Spec.GroupPriorityMinimum != 1 {
		t.Errorf("what was taken over is restored: %+v", s.Spec)
	}
	if k.GroupPriority("apps") != 1 || k.GroupPriority("apiregistration.k8s.io") != ownPriority {
		t.Errorf("priorities: %d, %d", k.GroupPriority("apps"), k.GroupPriority("apiregistration.k8s.io"))
	}
}

func TestCustomGroupVersionsComeAndGo(t *testing.T) {
	k, a := keeper()
	ctx := context.Background()
	d := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "boats.example.com"}}
	d.Spec.Group = "example.com"
	d.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true}, {Name: "v2"}}
	if _, err := a.Create(ctx, definitions, d); err != nil {
		t.Fatal(err)
	}
	news := 0
	if _, err := a.Follow(ctx, definitions, func(obj, gone resource.Object) {
		if k.learn(obj, gone) {
			news++
		}
	}); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		if err := k.custom(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if look(); get(t, a, "v1.example.com") != nil {
		t.Error("there is one before the definition is established")
	}
	if _, err := a.Update(ctx, definitions, "", "", d.Name, func(o resource.Object) error {
		o.(*apiextensionsv1.CustomResourceDefinition).Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
			{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if look(); get(t, a, "v1.example.com") == nil || get(t, a, "v2.example.com") != nil {
		t.Error("not what is served is there")
	}
	if _, err := a.Update(ctx, definitions, "", "", d.Name, func(o resource.Object) error {
		o.SetLabels(map[string]string{"a": "b"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete(ctx, definitions, "", d.Name, nil); err != nil {
		t.Fatal(err)
	}
	if look(); get(t, a, "v1.example.com") != nil {
		t.Error("it outlives its definition")
	}
	if news != 2 {
		t.Errorf("%d times it was news; that it is established and that it has gone are", news)
	}
}

func TestConditionsFollowTheService(t *testing.T) {
	k, a := keeper()
	ctx := context.Background()
	s := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.g"}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "g", Version: "v1", Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s", Port: new(int32(443))}}}
	if _, err := a.Create(ctx, Objects, s); err != nil {
		t.Fatal(err)
	}
	expect := func(reason string) {
		t.Helper()
		if err := k.conditions(ctx); err != nil {
			t.Fatal(err)
		}
		if c := get(t, a, "v1.g").Status.Conditions; len(c) != 1 || c[0].Reason != reason {
			t.Errorf("got %+v, want %s", c, reason)
		}
	}
	expect("ServiceNotFound")
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s"}}
	service.Spec.Ports = []corev1.ServicePort{{Name: "other", Port: 80}}
	if _, err := a.Create(ctx, services, service); err != nil {
		t.Fatal(err)
	}
	expect("ServicePortError")
	if _, err := a.Update(ctx, services, "", "n", "s", func(o resource.Object) error {
		o.(*corev1.Service).Spec.Ports = []corev1.ServicePort{{Name: "https", Port: 443}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect("EndpointsNotFound")
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s-1", Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
		Ports: []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(8443))}}}
	if _, err := a.Create(ctx, endpoints, slice); err != nil {
		t.Fatal(err)
	}
	expect("MissingEndpoints")
	if _, err := a.Update(ctx, endpoints, "", "n", "s-1", func(o resource.Object) error {
		o.(*discoveryv1.EndpointSlice).Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect("Passed")
}
