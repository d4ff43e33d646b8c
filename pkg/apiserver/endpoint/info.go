package endpoint

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// verbs gives the verb of a request for an object, or for a collection.
func verbOf(method string, named bool) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodGet, http.MethodHead:
		return "get"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if !named {
			return "deletecollection"
		}
		return "delete"
	}
	return "" // also of a method in lower case, which is another
}

// Parse reads what a request asks for from its method, path and query. It fails where the path ends with a verb of old
// that says not of what: /api/v1/watch.
func Parse(r *http.Request) (*request.Info, error) {
	info := &request.Info{Path: r.URL.Path, Verb: strings.ToLower(r.Method)}
	if r.URL.RawQuery != "" {
		info.Query = r.URL.Query()
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		info.Version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		info.Group, info.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return info, nil
	}
	if len(parts) == 1 && (parts[0] == "watch" || parts[0] == "proxy") {
		return nil, fmt.Errorf("unable to determine kind and namespace from url, %v", r.URL)
	}
	info.IsResource = true
	watching := false
	if parts[0] == "watch" { // the form of old: /api/v1/watch/...
		watching, parts = true, parts[1:]
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		info.Namespace = parts[1]
		// Below a namespace stand other resources, unless what follows is the namespace's own subresource.
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	info.Resource = parts[0]
	if len(parts) > 1 {
		info.Name, info.PathName = parts[1], parts[1]
	}
	if len(parts) > 2 {
		info.Subresource = parts[2]
		info.Rest = strings.Join(parts[3:], "/")
	}
	info.Verb, info.DeprecatedWatch = verbOf(r.Method, info.Name != ""), watching
	if watching { // which no selector makes more permitted: not all of that form look at them
		info.Verb = "watch"
		return info, nil
	}
	if info.Verb == "get" && info.Name == "" {
		info.Verb = "list"
		if truth(info.Query["watch"]) {
			info.Verb = "watch"
		}
	}
	selectors(info)
	return info, nil
}

// selectors reads the selectors of a request for a collection, of which one may name an object that is read.
func selectors(info *request.Info) {
	switch info.Verb {
	case "list", "watch", "deletecollection":
		info.LabelSelector, info.FieldSelector = info.Query.Get("labelSelector"), info.Query.Get("fieldSelector")
	}
	if info.Verb != "list" && info.Verb != "watch" {
		return
	}
	if s, err := fields.ParseSelector(info.FieldSelector); err == nil {
		if name, ok := s.RequiresExactMatch("metadata.name"); ok && len(path.IsValidPathSegmentName(name)) == 0 {
			info.Name = name
		}
	}
}

// queryOf gives a request's query, as it was read with what the request asks for.
func queryOf(r *http.Request) url.Values {
	if info := request.InfoFrom(r.Context()); info != nil {
		return info.Query
	}
	return r.URL.Query()
}

// truth reads a boolean query parameter as kube-apiserver does: given, and not denied, it is true.
func truth(values []string) bool {
	return len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}
