package crd

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// faltering holds one definition, whose first write fails.
type faltering struct {
	resource.Access
	crd     *apiextensionsv1.CustomResourceDefinition
	tries   int
	written chan *apiextensionsv1.CustomResourceDefinition
}

func (f *faltering) Follow(_ context.Context, _ schema.GroupResource, tell func(obj, gone resource.Object)) (<-chan struct{}, error) {
	tell(f.crd, nil)
	synced := make(chan struct{})
	close(synced)
	return synced, nil
}

func (f *faltering) Update(_ context.Context, _ schema.GroupResource, _, _, _ string, change func(resource.Object) error) (resource.Object, error) {
	if f.tries++; f.tries == 1 {
		return nil, errors.New("etcd has no leader")
	}
	out := f.crd.DeepCopy()
	err := change(out)
	f.written <- out
	return out, err
}

func TestAStatusThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	names := apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"}
	access := &faltering{written: make(chan *apiextensionsv1.CustomResourceDefinition, 1), crd: &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets.example.com", ResourceVersion: "1"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{Group: "example.com", Names: names, Scope: apiextensionsv1.ClusterScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true}}},
	}}
	clock := clocktesting.NewFakeClock(time.Now())
	err := Start(t.Context(), Config{Access: access, Serve: func(*resource.Resource) {}, Withdraw: func(*resource.Resource) {}, Changed: func() {},
		Clock: clock, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	for !clock.HasWaiters() {
		if t.Context().Err() != nil {
			t.Fatal("nobody tries again")
		}
		runtime.Gosched()
	}
	clock.Step(retryAfter)
	if crd := <-access.written; !apiextensions.IsTrue(crd, apiextensionsv1.Established) {
		t.Errorf("written was %+v", crd.Status)
	}
}
