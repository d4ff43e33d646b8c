package source

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"
)

const deadline = 20 * time.Second

func manifest(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: kube-system, labels: {a: b}}\nspec:\n  containers:\n  - {name: app, image: " + image + ", readinessProbe: {httpGet: {port: 80}}}\n"
}

// start runs a source until the test ends.
func start(t *testing.T, c Config) *Source {
	t.Helper()
	c.NodeName, c.Clock, c.Log = "Node1", clock.RealClock{}, logr.Discard()
	s := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func next(t *testing.T, s *Source) Update {
	t.Helper()
	select {
	case u := <-s.Updates():
		return u
	case <-time.After(deadline):
		t.Fatal("nothing was told in time")
	}
	return Update{}
}

// place makes a file appear at once, as editors and kubeadm do.
func place(t *testing.T, file, text string) {
	t.Helper()
	hidden := filepath.Join(filepath.Dir(file), "."+filepath.Base(file))
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, file); err != nil {
		t.Fatal(err)
	}
}

// until waits for a state of the world that events bring about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, deadline)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStaticPodsFollowTheirFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.yaml")
	place(t, file, manifest("one:1"))
	s := start(t, Config{StaticPath: dir, FileCheck: time.Hour})
	first := next(t, s)
	p := first.Pod
	if !first.Static || first.Deleted || p.Name != "web-node1" || p.Namespace != "kube-system" || p.Spec.NodeName != "Node1" || !IsStatic(p) {
		t.Errorf("got %+v", first)
	}
	until(t, "synced", s.Synced)
	want := map[string]string{AnnotationSource: "file", AnnotationHash: string(p.UID), AnnotationSeen: p.Annotations[AnnotationSeen]}
	if diff := cmp.Diff(want, p.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	c := p.Spec.Containers[0]
	if c.ImagePullPolicy != corev1.PullIfNotPresent || c.ReadinessProbe.PeriodSeconds != 10 || *p.Spec.TerminationGracePeriodSeconds != 30 || c.ReadinessProbe.HTTPGet.Scheme != "HTTP" {
		t.Errorf("defaults are missing: %+v", p.Spec)
	}
	place(t, file, manifest("two:2"))
	gone, made := next(t, s), next(t, s)
	if !gone.Deleted || gone.Pod.UID != p.UID || made.Deleted || made.Pod.UID == p.UID || made.Pod.Name != p.Name {
		t.Errorf("a changed file is an end and a beginning: got %+v, %+v", gone, made)
	}
	// Half a file does no harm; what is told next is the removal.
	place(t, file, manifest("three:3")[:60])
	if err := os.WriteFile(filepath.Join(dir, ".hidden"), []byte(manifest("x:1")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if u := next(t, s); !u.Deleted || u.Pod.UID != made.Pod.UID {
		t.Errorf("removed file: got %+v", u)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.static) != 0 {
		t.Errorf("pods left: %v", s.static)
	}
}

func TestABrokenFileKeepsItsPod(t *testing.T) {
	dir := t.TempDir()
	s := New(Config{NodeName: "n", Clock: clock.RealClock{}, Log: logr.Discard()})
	f := &files{source: s, path: dir, good: map[string]*corev1.Pod{}}
	for _, text := range []string{manifest("one:1"), "half: [", manifest("one:1")[:20]} {
		place(t, filepath.Join(dir, "a.yaml"), text)
		pods, err := f.read()
		if err != nil || len(pods) != 1 || pods[0].Spec.Containers[0].Image != "one:1" {
			t.Errorf("%q: got %v, %v", text, pods, err)
		}
	}
}

func TestManifestsThatCannotBeStaticAreRefused(t *testing.T) {
	s := New(Config{NodeName: "n", Clock: clock.RealClock{}, Log: logr.Discard()})
	spec := func(s string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, image: b}], " + s + "}\n"
	}
	for text, want := range map[string]string{
		"a: [":                            "neither YAML nor JSON",
		"apiVersion: v1\nkind: Service\n": "does not hold a pod",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n":                         "spec.containers: Required value",
		"apiVersion: v1\nkind: Pod\nspec: {}\n":                                      "no metadata.name",
		spec("serviceAccountName: x"):                                                "may not reference serviceaccounts",
		spec("volumes: [{name: v, secret: {secretName: x}}]"):                        "may not reference secrets",
		spec("volumes: [{name: v, projected: {sources: [{configMap: {name: x}}]}}]"): "may not reference configmaps",
		spec("initContainers: [{name: a, image: x}]"):                                `two containers are named "a"`,
	} {
		if _, err := s.decode([]byte(text), fileSource, "f"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestStaticPodsOfAURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":%q},"spec":{"containers":[{"name":"a","image":"b"}]}}]}`, r.Header.Get("X-Name"))
	}))
	defer server.Close()
	s := start(t, Config{StaticURL: server.URL, StaticURLHeader: map[string][]string{"x-name": {"of-url"}}})
	if u := next(t, s); u.Pod.Name != "of-url-node1" || u.Pod.Annotations[AnnotationSource] != "http" || u.Pod.Namespace != "default" {
		t.Errorf("got %+v", u.Pod)
	}
}

func apiPod(name string, uid types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: uid}, Spec: corev1.PodSpec{NodeName: "Node1"}}
}

func TestPodsOfTheAPIServer(t *testing.T) {
	other := apiPod("other", "o")
	other.Spec.NodeName = "node2"
	liar := apiPod("a", "1")
	liar.Annotations = map[string]string{AnnotationSource: "file"}
	client := fake.NewClientset(liar, other)
	s := start(t, Config{Client: client})
	if u := next(t, s); u.Pod.UID != "1" || u.Static || u.Deleted || IsStatic(u.Pod) {
		t.Errorf("got %+v", u)
	}
	until(t, "synced", s.Synced)
	// The same name again, and the deletion was missed.
	s.podSet(t.Context(), apiPod("a", "2"), apiPod("a", "1"))
	if gone, made := next(t, s), next(t, s); !gone.Deleted || gone.Pod.UID != "1" || made.Deleted || made.Pod.UID != "2" {
		t.Errorf("got %+v, %+v", gone, made)
	}
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if u := next(t, s); !u.Deleted {
		t.Errorf("got %+v", u)
	}
}

func TestMirrorPodsAreKeptAsTheStaticPodsAre(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.yaml")
	place(t, file, manifest("one:1"))
	orphan := apiPod("old", "9")
	orphan.Annotations = map[string]string{AnnotationMirror: "x"}
	client := fake.NewClientset(orphan)
	s := start(t, Config{Client: client, StaticPath: dir, FileCheck: time.Hour})
	mirror := func(ns, name string) *corev1.Pod {
		p, err := client.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := next(t, s).Pod
	until(t, "orphaned mirror deleted", func() bool { return mirror("default", "old") == nil })
	if mirror("kube-system", "web-node1") != nil {
		t.Error("a mirror was made although its owner, the node, does not exist")
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "Node1", UID: "n"}}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Poke()
	until(t, "mirror created", func() bool { return mirror("kube-system", "web-node1") != nil })
	m := mirror("kube-system", "web-node1")
	want := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "Node1", UID: "n", Controller: new(true)}}
	if diff := cmp.Diff(want, m.OwnerReferences); diff != "" || m.Annotations[AnnotationMirror] != string(first.UID) {
		t.Errorf("mirror %+v\n%s", m.ObjectMeta, diff)
	}
	until(t, "mirror known", func() bool { _, ok := s.Mirror(first); return ok })
	if err := client.CoreV1().Pods("kube-system").Delete(t.Context(), m.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "deleted mirror made again", func() bool { return mirror("kube-system", "web-node1") != nil })
	place(t, file, manifest("two:2"))
	until(t, "mirror of the changed file", func() bool {
		m := mirror("kube-system", "web-node1")
		return m != nil && m.Annotations[AnnotationMirror] != string(first.UID) && m.Spec.Containers[0].Image == "two:2"
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	until(t, "mirror of the removed file deleted", func() bool { return mirror("kube-system", "web-node1") == nil })
	for len(s.Updates()) > 0 {
		if u := next(t, s); IsMirror(u.Pod) {
			t.Errorf("a mirror was told as a pod to run: %+v", u.Pod.ObjectMeta)
		}
	}
}
