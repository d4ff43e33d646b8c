package endpoint

import (
	"net/http/httptest"
	"testing"
)

// TestASelectorNamesOnlyWhatIsRead: a right to one object may be used to list and watch it by a selector, but deletes no
// collection; and what may ignore a selector is not permitted by one.
func TestASelectorNamesOnlyWhatIsRead(t *testing.T) {
	const by = "fieldSelector=metadata.name%3Dx&labelSelector=a%3Db"
	for target, want := range map[string]struct{ method, verb, name, fields, labels string }{
		"/api/v1/namespaces/n/pods?" + by:              {"GET", "list", "x", "metadata.name=x", "a=b"},
		"/api/v1/namespaces/n/pods?watch=1&" + by:      {"GET", "watch", "x", "metadata.name=x", "a=b"},
		"/api/v1/namespaces/m/pods?" + by:              {"DELETE", "deletecollection", "", "metadata.name=x", "a=b"},
		"/api/v1/watch/namespaces/n/pods?" + by:        {"GET", "watch", "", "", ""},
		"/api/v1/watch/namespaces/n/pods/y?" + by:      {"GET", "watch", "y", "", ""},
		"/api/v1/namespaces/n/pods/y?watch=1&" + by:    {"GET", "get", "y", "", ""},
		"/api/v1/namespaces/n/pods/y/log?follow&" + by: {"GET", "get", "y", "", ""},
		"/api/v1/namespaces/n/pods/z":                  {"delete", "", "z", "", ""},
		"/api/v1/namespaces/n/pods/w":                  {"OPTIONS", "", "w", "", ""},
	} {
		info, err := Parse(httptest.NewRequest(want.method, target, nil))
		if err != nil || info.Verb != want.verb || info.Name != want.name || info.FieldSelector != want.fields || info.LabelSelector != want.labels {
			t.Errorf("%s %s: %s %q, %q, %q", want.method, target, info.Verb, info.Name, info.FieldSelector, info.LabelSelector)
		}
	}
}
