package watchcheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// follower is what an informer knows: each object's revision, which never falls.
type follower struct {
	mu    sync.Mutex
	known map[string]int64
	wrong error
}

func (f *follower) Add(o any) error    { return f.take(o) }
func (f *follower) Update(o any) error { return f.take(o) }
func (f *follower) Resync() error      { return nil }

func (f *follower) take(o any) error {
	key, revision, err := keyAndRevision(o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[key] >= revision {
		f.wrong = fmt.Errorf("%s was known at %d when %d was told", key, f.known[key], revision)
	}
	f.known[key] = revision
	return err
}

func (f *follower) Delete(o any) error {
	key, _, err := keyAndRevision(o)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, key)
	return err
}

func (f *follower) Replace(all []any, _ string) error {
	now := map[string]int64{}
	var failed error
	for _, o := range all {
		key, revision, err := keyAndRevision(o)
		now[key], failed = revision, errors.Join(failed, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, revision := range now {
		if f.known[key] > revision {
			f.wrong = fmt.Errorf("%s was known at %d when a list said %d", key, f.known[key], revision)
		}
	}
	f.known = now
	return failed
}

func keyAndRevision(o any) (string, int64, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return "", 0, fmt.Errorf("an informer was told of %v", o)
	}
	revision, err := strconv.ParseInt(m.GetResourceVersion(), 10, 64)
	return m.GetNamespace() + "/" + m.GetName(), revision, err
}

func (f *follower) knows(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[key] > 0
}

// listFirst is a client whose informers begin with a list, as they did before WatchList.
type listFirst struct{}

func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// startInformer follows all ConfigMaps on connections of its own, as a program of its own would.
func startInformer(ctx context.Context, t *testing.T, url string, watchList bool) *follower {
	t.Helper()
	cfg := &rest.Config{Host: url, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, Dial: (&net.Dialer{}).DialContext}
	cfg.ContentType = runtime.ContentTypeProtobuf
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	of := clients.CoreV1().ConfigMaps("")
	lw := &cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return of.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return of.Watch(ctx, o) },
	}
	var client any = clients
	if !watchList {
		client = listFirst{}
	}
	f := &follower{known: map[string]int64{}}
	r := cache.NewReflector(cache.ToListWatcherWithWatchListSemantics(lw, client), &corev1.ConfigMap{}, f, 0)
	go r.RunWithContext(klog.NewContext(ctx, logr.Discard()))
	return f
}

// mostMemory is the most, in MiB, that a process has had in memory.
func mostMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest + " none")[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// present is what a server says that there is.
func present(t *testing.T, f *fleet) map[string]int64 {
	t.Helper()
	clients, err := kubernetes.NewForConfig(&rest.Config{Host: f.urls[0], BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := clients.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for i := range list.Items {
		key, revision, err := keyAndRevision(&list.Items[i])
		if err != nil {
			t.Fatal(err)
		}
		all[key] = revision
	}
	return all
}

// TestManyInformersComeBackWithTheServer kills a server that 200 informers follow, half of them by WatchList, under a
// load of writes. All of them ask at once when it is there again.
func TestManyInformersComeBackWithTheServer(t *testing.T) {
	const informers, objects = 200, 1000
	etcd := startEtcd(t)
	f := startFleet(t, 1, "--etcd-servers="+etcd.url)
	f.furnish(t)
	together(8, func(w int) {
		for i := range objects / 8 {
			f.must(t, http.MethodPost, "/api/v1/namespaces/wide/configmaps", formatJSON, Object("configmaps", "wide", fmt.Sprintf("resting-%d-%d", w, i), "resting", "red", ""))
		}
	})
	alone := mostMemory(t, f.servers[0].Process.Pid)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	all := make([]*follower, informers)
	for i := range all {
		all[i] = startInformer(ctx, t, f.urls[0], i%2 == 0)
	}
	told := func(when string) {
		t.Helper()
		begun := time.Now()
		f.must(t, http.MethodPost, "/api/v1/namespaces/deep/configmaps", formatJSON, Object("configmaps", "deep", when, when, "red", ""))
		for i, one := range all {
			until(t, fmt.Sprintf("informer %d is in step %s", i, when), func() bool { return one.knows("deep/" + when) })
		}
		t.Logf("%s: all are in step after %v, and the server took %d MiB at most, %d before", when, time.Since(begun), mostMemory(t, f.servers[0].Process.Pid), alone)
	}
	told("before")
	l := f.startLoad(t, 10, 50)
	l.goOn(t, 20)
	readyInTime(t, f.restart(t, 0, syscall.SIGKILL))
	told("after")
	l.end()
	told("in-the-end")
	want := present(t, f)
	for i, one := range all {
		until(t, fmt.Sprintf("informer %d knows what there is", i), func() bool {
			one.mu.Lock()
			defer one.mu.Unlock()
			return maps.Equal(one.known, want)
		})
		if one.wrong != nil {
			t.Errorf("informer %d: %v", i, one.wrong)
		}
	}
	// Each has 1.5 MB to read: as many copies would be 300.
	if most := mostMemory(t, f.servers[0].Process.Pid); most > alone+150 {
		t.Errorf("the server took %d MiB for them, and %d without", most, alone)
	}
}

// together runs n of a kind at once.
func together(n int, work func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { work(i) })
	}
	all.Wait()
}
