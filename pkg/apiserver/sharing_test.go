package apiserver

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// TestPatchesWriteIntoNothingThatIsStored patches a pod in many ways, while others read the state before, which the cache
// holds and the new one has parts of. The race detector sees writes that leave the same.
func TestPatchesWriteIntoNothingThatIsStored(t *testing.T) {
	s := inMemory(t, "AlwaysPullImages", "ExtendedResourceToleration")
	h := s.handler(t.Context())
	s.must(t, h, "POST", "/api/v1/namespaces", "application/json", `{"metadata":{"name":"bench"}}`)
	s.must(t, h, "POST", "/api/v1/namespaces/bench/serviceaccounts", "application/json", `{"metadata":{"name":"default"}}`)
	s.must(t, h, "POST", "/api/v1/nodes", "application/json", `{"metadata":{"name":"node-1","labels":{"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64"}},"status":{"nodeInfo":{"operatingSystem":"linux","architecture":"amd64"},"allocatable":{"cpu":"4","memory":"8Gi"}}}`)
	s.must(t, h, "POST", "/api/v1/namespaces/bench/pods", "application/json", fmt.Sprintf(benchPod, 0))
	const merge, strategic, list = "application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"
	for _, p := range []struct{ subresource, media, body string }{
		{"", merge, `{"metadata":{"labels":{"a":"1","tier":null}}}`},
		{"", strategic, `{"metadata":{"annotations":{"a":"1"},"finalizers":["a/b"],"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"u"}]}}`},
		{"", list, `[{"op":"add","path":"/metadata/labels/b","value":"2"}]`},
		{"", strategic, `{"spec":{"containers":[{"name":"side","image":"registry.example/side:5"}]}}`},
		{"", merge, `{"spec":{"activeDeadlineSeconds":60,"tolerations":[{"key":"dedicated","operator":"Exists"},` +
			`{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":30},` +
			`{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":30}]}}`},
		{"status", strategic, benchStatus},
		{"status", strategic, `{"metadata":{"annotations":{"b":"1"}}}`},
		{"status", merge, `{"metadata":{"labels":{"c":"1"}},"status":{"conditions":[{"type":"Ready","status":"False"}],"podIP":"10.1.2.4"}}`},
		{"status", merge, `{"spec":{"nodeName":"other"},"status":{"phase":"Failed"}}`},
		{"status", list, `[{"op":"add","path":"/status/containerStatuses/0/resources","value":{}}]`}, // by a kubelet that can resize
		{"resize", strategic, `{"spec":{"containers":[{"name":"side","resources":{"requests":{"cpu":"20m"}}}]}}`},
		{"ephemeralcontainers", strategic, `{"spec":{"ephemeralContainers":[{"name":"e","image":"e"}]}}`},
		{"", merge, `{"metadata":{"managedFields":[{}]}}`},
		{"", merge, `{"metadata":{"labels":null}}`},
		{"", merge, `{"metadata":{"labels":null}}`}, // which changes nothing
		{"?dryRun=All", merge, `{"metadata":{"labels":{"d":"1"}},"spec":{"activeDeadlineSeconds":30}}`},
	} {
		path := "/api/v1/namespaces/bench/pods/pod-0"
		s.must(t, h, "GET", path, "", "") // until the cache holds what was written last
		if p.subresource != "" && p.subresource[0] != '?' {
			path += "/"
		}
		old, err := s.registry.Get(t.Context(), corev1.Resource("pods"), "bench", "pod-0")
		if err != nil {
			t.Fatal(err)
		}
		was := old.DeepCopyObject().(resource.Object)
		var reading sync.WaitGroup
		reading.Go(func() {
			if _, err := json.Marshal(old); err != nil {
				t.Error(err)
			}
		})
		s.must(t, h, "PATCH", path+p.subresource, p.media, p.body)
		reading.Wait()
		if !reflect.DeepEqual(was, old) {
			t.Errorf("%s patch %s has changed the state before it:\n%s", p.subresource, p.body, cmp.Diff(was, old))
		}
	}
}
