// Package watchcheck judges the apiserver's lists and watches by what etcd says that happened. It reads etcd's own
// history over etcd's protocol and what clients were told over HTTP, and shares no code with the server: what the
// server misunderstands must not be misunderstood here in the same way.
package watchcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// mark is the annotation in which each write has its own number.
const mark = "example.com/mark"

// State is an object as it was after one write. Fields are what field selectors see; only the history has them.
type State struct {
	Key      string // "namespace/name"
	Revision int64
	UID      string
	Mark     string
	Labels   map[string]string
	Fields   map[string]string
}

func (s State) String() string { return fmt.Sprintf("%s at %d (%s)", s.Key, s.Revision, s.Mark) }

// same says whether a client was told of this state.
func (s State) same(told State) bool {
	return s.Key == told.Key && s.Revision == told.Revision && s.UID == told.UID && s.Mark == told.Mark && maps.Equal(s.Labels, told.Labels)
}

// stateOf is what is compared of an object.
func stateOf(o metav1.Object, revision int64) State {
	return State{
		Key: o.GetNamespace() + "/" + o.GetName(), Revision: revision, UID: string(o.GetUID()),
		Mark: o.GetAnnotations()[mark], Labels: o.GetLabels(),
	}
}

// kind is one resource: where it is kept, and where it is served.
type kind struct {
	resource, prefix, path string
	make                   func() protobuf
}

// protobuf is an object of a built-in kind.
type protobuf interface {
	metav1.Object
	Unmarshal([]byte) error
}

var kinds = []kind{
	{"configmaps", "/registry/configmaps/", "/api/v1", func() protobuf { return &corev1.ConfigMap{} }},
	{"pods", "/registry/pods/", "/api/v1", func() protobuf { return &corev1.Pod{} }},
	{"events", "/registry/events/", "/api/v1", func() protobuf { return &corev1.Event{} }},
	{"widgets", "/registry/example.com/widgets/", "/apis/example.com/v1", nil},
}

func kindOf(resource string) *kind {
	for i := range kinds {
		if kinds[i].resource == resource {
			return &kinds[i]
		}
	}
	return nil
}

// kept finds the kind that a key in etcd is of.
func kept(key string) *kind {
	for i := range kinds {
		if strings.HasPrefix(key, kinds[i].prefix) {
			return &kinds[i]
		}
	}
	return nil
}

var envelope = []byte("k8s\x00")

// decode reads an object, as etcd keeps it or as Protobuf answers hold it.
func (k *kind) decode(b []byte) (metav1.Object, error) {
	rest, ok := bytes.CutPrefix(b, envelope)
	if !ok {
		u := &unstructured.Unstructured{}
		return u, json.Unmarshal(b, &u.Object)
	}
	var wrapped runtime.Unknown
	if err := wrapped.Unmarshal(rest); err != nil {
		return nil, err
	}
	o := k.make()
	return o, o.Unmarshal(wrapped.Raw)
}

// state reads what etcd keeps.
func (k *kind) state(b []byte, revision int64) (State, error) {
	o, err := k.decode(b)
	if err != nil {
		return State{}, err
	}
	s := stateOf(o, revision)
	s.Fields = map[string]string{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if p, is := o.(*corev1.Pod); is {
		s.Fields["spec.nodeName"], s.Fields["status.phase"] = p.Spec.NodeName, string(p.Status.Phase)
	}
	return s, nil
}
