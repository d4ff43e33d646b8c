package apiserver

import (
	"fmt"
	"strings"
	"testing"
)

func TestFieldsThatKindsAreSelectedBy(t *testing.T) {
	s := inMemory(t)
	h := s.handler(t.Context())
	s.must(t, h, "POST", "/api/v1/namespaces/default/serviceaccounts", "application/json", `{"metadata":{"name":"default"}}`)
	for _, node := range []string{"one", "two"} {
		pod := fmt.Sprintf(`{"metadata":{"name":"on-%s"},"spec":{"nodeName":%q,"containers":[{"name":"c","image":"i"}]}}`, node, node)
		s.must(t, h, "POST", "/api/v1/namespaces/default/pods", "application/json", pod)
	}
	for _, c := range []struct{ path, selector, names, message string }{
		{"namespaces/default/pods", "spec.nodeName=one", "on-one", ""},
		{"namespaces/default/pods", "spec.host=one", "on-one", ""},
		{"pods", "spec.host!=one,metadata.namespace=default", "on-two", ""},
		{"nodes", "spec.unschedulable=true", "", ""},
		{"nodes", "metadata.namespace=x", "", "field label not supported: metadata.namespace"},
		{"namespaces", "metadata.namespace=x", "", "field label not supported: metadata.namespace"},
		{"persistentvolumes", "metadata.namespace=x", "", ""},
	} {
		answer := s.asks(t, h, "GET", "/api/v1/"+c.path+"?fieldSelector="+c.selector, "").Body.String()
		for _, name := range []string{"on-one", "on-two"} {
			if found := strings.Contains(answer, `"name":"`+name+`"`); found != (name == c.names) {
				t.Errorf("%s by %s: %s is found: %v", c.path, c.selector, name, found)
			}
		}
		if refused := strings.Contains(answer, `"code":400`); refused != (c.message != "") || !strings.Contains(answer, c.message) {
			t.Errorf("%s by %s: %s, want %q", c.path, c.selector, answer, c.message)
		}
	}
}
