package v1

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestProtobufGoesThereAndBack(t *testing.T) {
	want := APIServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []APIService{{}, {
		ObjectMeta: metav1.ObjectMeta{Name: "v1.a", Labels: map[string]string{"k": "v"}},
		Spec: APIServiceSpec{Service: &ServiceReference{Namespace: "n", Name: "s", Port: new(int32(8443))}, Group: "a", Version: "v1",
			InsecureSkipTLSVerify: true, CABundle: []byte("ca"), GroupPriorityMinimum: 100, VersionPriority: 15},
		Status: APIServiceStatus{Conditions: []APIServiceCondition{{Type: Available, Status: ConditionFalse, Reason: "R", Message: "m",
			LastTransitionTime: metav1.NewTime(time.Unix(1000, 0))}}},
	}}}
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var got APIServiceList
	if err := got.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written (-), read (+):\n%s", diff)
	}
	if err := got.Unmarshal(data[:len(data)-1]); err == nil {
		t.Error("a message that is cut off is read")
	}
	if diff := cmp.Diff(want, *want.DeepCopyObject().(*APIServiceList)); diff != "" {
		t.Errorf("a copy differs:\n%s", diff)
	}
}
