package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// serve serves a resource on an etcd that is a map, without its neighbours.
func serve(f *testing.F, r *resource.Resource, converter managedfields.TypeConverter) *Served {
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = cache.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })
	<-cache.Synced()
	return NewServed(resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(r, converter), nil, clock.RealClock{})
}

// pods are a resource with the types of pods and none of their rules.
func pods(f *testing.F) *Served {
	r := resource.Define(resource.Definition[*corev1.Pod]{Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Plural: "pods", Prefix: "pods", New: func() *corev1.Pod { return &corev1.Pod{} }, NewList: func() runtime.Object { return &corev1.PodList{} }})
	return serve(f, r, applyconfigurations.NewTypeConverter(scheme.Scheme))
}

func pod() *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "n", ResourceVersion: "1", UID: "u", Labels: map[string]string{"a": "b"}, Finalizers: []string{"a/b"},
			CreationTimestamp: metav1.NewTime(time.Unix(1000, 0)),
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "i", Env: []corev1.EnvVar{{Name: "E", Value: "v"}}, Ports: []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}}}},
			Volumes:    []corev1.Volume{{Name: "v"}}, Tolerations: []corev1.Toleration{{Key: "k"}},
		},
	}
}

// client is the client's side of a request: its faults are 4xx.
func client(t *testing.T, err error) {
	t.Helper()
	if status := apierrors.APIStatus(nil); err != nil {
		if s, is := err.(apierrors.APIStatus); is { //nolint:errorlint // as it is answered
			status = s
		}
		if status != nil && status.Status().Code >= http.StatusInternalServerError {
			t.Errorf("a fault of the client is called one of the server: %v", err)
		}
	}
}

// sound has an object that was taken from a client be written and read again.
func sound(t *testing.T, o runtime.Object) {
	t.Helper()
	text, err := objectjson.Marshal(o)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	if want, err := json.Marshal(o); err != nil || !bytes.Equal(want, text) {
		t.Fatalf("encoding/json %s, %v; own %s", want, err, text)
	}
	again := &corev1.Pod{}
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatalf("what was written cannot be read: %v: %s", err, text)
	}
}

func FuzzBody(f *testing.F) {
	var message bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(pod(), &message); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(pod())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), true, text)
	f.Add(uint8(1), true, []byte("apiVersion: v1\nkind: Pod\nmetadata: &a\n  name: p\nspec:\n  containers:\n  - {name: c, image: i, env: [*a]}\n"))
	f.Add(uint8(2), false, message.Bytes())
	media := []string{mediaJSON, mediaYAML, mediaProtobuf}
	f.Fuzz(func(t *testing.T, form uint8, strict bool, body []byte) {
		into, r := &corev1.Pod{}, httptest.NewRequest(http.MethodPost, "/", nil)
		how := validationWarn
		if strict {
			how = validationStrict
		}
		err := decode(r, media[int(form)%len(media)], body, corev1.SchemeGroupVersion.WithKind("Pod"), into, how)
		if client(t, err); err == nil {
			sound(t, into)
		}
	})
}

func FuzzPatch(f *testing.F) {
	s := pods(f)
	kinds := []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType}
	f.Add(uint8(0), []byte(`[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"copy","from":"/spec","path":"/metadata/annotations"},{"op":"test","path":"/kind","value":1}]`))
	f.Add(uint8(0), []byte(`[{"op":"test","path":""}]`))
	f.Add(uint8(0), []byte(`[{"op":"test","path":"/metadata/finalizers","value":[null]}]`))
	f.Add(uint8(1), []byte(`{"metadata":{"labels":{"a":null}},"spec":{"containers":[{"name":"d"}]}}`))
	f.Add(uint8(2), []byte(`{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","env":[{"$patch":"delete","name":"E"}]}],"volumes":[{"$patch":"replace"}],"$retainKeys":["containers"]}}`))
	f.Add(uint8(2), []byte(`{"spec":{"containers":[{"name":[]}]}}`))
	f.Add(uint8(3), []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}]}}`))
	f.Fuzz(func(t *testing.T, form uint8, body []byte) {
		r := httptest.NewRequest(http.MethodPatch, "/", nil)
		p := &patcher{s: s, r: r, kind: kinds[int(form)%len(kinds)], body: body, strict: validationWarn, info: &request.Info{Name: "p", Namespace: "n"}}
		out, err := patched(t, p, pod())
		if client(t, err); err == nil {
			sound(t, out)
		}
	})
}

func FuzzListOptions(f *testing.F) {
	s := pods(f)
	for _, query := range []string{
		"labelSelector=a+in+(b,c),!d,e!%3Df&fieldSelector=metadata.name%3Dx,metadata.namespace!%3Dy&limit=5", "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
		"resourceVersion=5&resourceVersionMatch=Exact&timeoutSeconds=3", "continue=" + encodeToken(token{Revision: 1, Start: "a"}),
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: "/", RawQuery: query}
		info := &request.Info{Verb: "list", Namespace: "n"}
		opts, err := s.listOptions(r, info)
		if client(t, err); err != nil {
			return
		}
		w, err := s.selection(opts, info, "")
		if client(t, err); err == nil {
			s.Cached.Snapshot().Ascend(w.Prefix, "", func(e *watchcache.Entry) bool { return w.Matches(e) })
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(encodeToken(token{Revision: 1, Start: "a/b"}))
	f.Add(encodeToken(token{Revision: -1, Start: "\x00"}))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decodeToken(text)
		if err != nil {
			return
		}
		again, err := decodeToken(encodeToken(got))
		if err != nil || again != got {
			t.Errorf("%+v becomes %+v, %v", got, again, err)
		}
	})
}
