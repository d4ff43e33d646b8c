package watchcheck

import (
	"fmt"
	"net/url"
	"strings"
)

// Selector is what a watcher wants to see of a resource.
type Selector struct {
	Resource  string
	Namespace string // in the path; "" for all
	Labels    map[string]string
	Fields    map[string]string
}

func (s Selector) String() string {
	return fmt.Sprintf("%s %s%s%s", s.Resource, s.Namespace, join(" labels ", s.Labels), join(" fields ", s.Fields))
}

// join writes equalities as both kinds of selectors do.
func join(before string, equal map[string]string) string {
	var all []string
	for k, v := range equal {
		all = append(all, k+"="+v)
	}
	if len(all) == 0 {
		return ""
	}
	return before + strings.Join(all, ",")
}

// wants says whether a state, nil for none, is selected.
func (s Selector) wants(o *State) bool {
	if o == nil || s.Namespace != "" && !strings.HasPrefix(o.Key, s.Namespace+"/") {
		return false
	}
	for k, v := range s.Labels {
		if o.Labels[k] != v {
			return false
		}
	}
	for k, v := range s.Fields {
		if o.Fields[k] != v {
			return false
		}
	}
	return true
}

// path is where the selected objects are served.
func (s Selector) path() string {
	if s.Namespace == "" {
		return kindOf(s.Resource).path + "/" + s.Resource
	}
	return kindOf(s.Resource).path + "/namespaces/" + s.Namespace + "/" + s.Resource
}

func (s Selector) query() url.Values {
	q := url.Values{}
	if text := join("", s.Labels); text != "" {
		q.Set("labelSelector", text)
	}
	if text := join("", s.Fields); text != "" {
		q.Set("fieldSelector", text)
	}
	return q
}
