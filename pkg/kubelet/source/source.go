// Package source tells the kubelet which pods its node should run: those that the apiserver has bound to
// it, and static pods of files or a URL, for which it keeps mirror pods in the apiserver. It does not know
// how pods are run.
package source

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// Update is news of one pod. A pod is told again whenever its object, or a static pod's mirror, changes.
type Update struct {
	// Pod must not be changed. It is never a mirror pod.
	Pod    *corev1.Pod
	Static bool
	// Deleted means that the pod is gone from its source: end it at once, with its own grace.
	Deleted bool
}

// Config is what a Source works with.
type Config struct {
	Client   kubernetes.Interface // nil: static pods only, and no mirrors
	NodeName string

	StaticPath      string // file, or directory of files; empty: none
	StaticURL       string // empty: none
	StaticURLHeader map[string][]string
	FileCheck       time.Duration // how often files are looked at although nothing told of a change
	URLCheck        time.Duration

	// Terminating says whether a static pod that is gone from its source still has containers to end; its
	// mirror stays as long. nil: never.
	Terminating func(uid types.UID) bool

	Clock clock.WithTicker
	Log   logr.Logger
}

// Source merges the sources of pods into one channel.
type Source struct {
	config   Config
	updates  chan Update
	informer cache.SharedIndexInformer // nil without a client
	mirrors  *mirrors                  // nil without a client

	mu        sync.Mutex
	static    map[types.UID]*corev1.Pod
	pending   map[string]bool // static sources that were not read yet
	delivered cache.InformerSynced
	from      map[types.UID]string
}

// The sources of pods, as annotations name them.
const (
	apiSource  = "api"
	fileSource = "file"
	urlSource  = "http"
)

// New makes a Source; Run makes it work.
func New(c Config) *Source {
	if c.FileCheck <= 0 {
		c.FileCheck = 20 * time.Second
	}
	if c.URLCheck <= 0 {
		c.URLCheck = 20 * time.Second
	}
	s := &Source{config: c, updates: make(chan Update, 64), static: map[types.UID]*corev1.Pod{},
		pending: map[string]bool{}, from: map[types.UID]string{}}
	if c.StaticPath != "" {
		s.pending[fileSource] = true
	}
	if c.StaticURL != "" {
		s.pending[urlSource] = true
	}
	if c.Client != nil {
		s.informer = podInformer(c.Client, c.NodeName)
		s.mirrors = newMirrors(s)
	}
	return s
}

// Updates is the channel of news; it is never closed.
func (s *Source) Updates() <-chan Update { return s.updates }

// Run follows all sources until ctx ends.
func (s *Source) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if s.config.StaticPath != "" {
		wg.Go(func() { s.followFiles(ctx) })
	}
	if s.config.StaticURL != "" {
		wg.Go(func() { s.followURL(ctx) })
	}
	if s.informer != nil {
		s.followAPI(ctx)
		wg.Go(func() { s.informer.Run(ctx.Done()) })
		wg.Go(func() { s.mirrors.run(ctx) })
	}
	wg.Wait()
}

// Synced says whether every source has told all its pods once, so that a pod which was not told of is
// known to belong to nobody. All of them are in the channel by then, if not yet received.
func (s *Source) Synced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) == 0 && (s.informer == nil || s.delivered != nil && s.delivered())
}

// Mirror answers the apiserver's copy of a static pod, which is where its status is written to.
func (s *Source) Mirror(static *corev1.Pod) (*corev1.Pod, bool) {
	if s.informer == nil {
		return nil, false
	}
	obj, ok, err := s.informer.GetStore().GetByKey(static.Namespace + "/" + static.Name)
	if err != nil || !ok {
		return nil, false
	}
	m := obj.(*corev1.Pod)
	return m, isMirrorOf(m, static) && m.DeletionTimestamp == nil
}

// Poke looks at the mirror pods again: the node was registered, or a static pod's last container ended.
func (s *Source) Poke() {
	if s.mirrors != nil {
		s.mirrors.poke()
	}
}

func (s *Source) send(ctx context.Context, u Update) {
	select {
	case s.updates <- u:
	case <-ctx.Done():
	}
}

// setStatic replaces the static pods of one source and tells of the differences.
func (s *Source) setStatic(ctx context.Context, source string, pods []*corev1.Pod) {
	var news []Update
	s.mu.Lock()
	now := map[types.UID]bool{}
	for _, p := range pods {
		now[p.UID] = true
		if s.static[p.UID] == nil {
			s.static[p.UID], s.from[p.UID] = p, source
			news = append(news, Update{Pod: p, Static: true})
		}
	}
	var gone []Update
	for uid, p := range s.static {
		if s.from[uid] == source && !now[uid] {
			delete(s.static, uid)
			delete(s.from, uid)
			gone = append(gone, Update{Pod: p, Static: true, Deleted: true})
		}
	}
	s.mu.Unlock()
	// What goes is told first: a changed file is an end and a beginning under the same name.
	for _, u := range append(gone, news...) {
		s.send(ctx, u)
	}
	s.mu.Lock()
	delete(s.pending, source)
	s.mu.Unlock()
	s.Poke()
}
