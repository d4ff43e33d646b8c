package watchcheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// last is the mark that ends a watcher: it is written when all else was.
const last = "last"

// selectors are what the watchers want, each for a few of them.
func selectors() []Selector {
	name := map[string]string{"metadata.name": "w1-2"}
	red := map[string]string{"colour": "red"}
	return []Selector{
		{Resource: "configmaps"},
		{Resource: "configmaps", Namespace: "wide"},
		{Resource: "configmaps", Labels: red},
		{Resource: "configmaps", Namespace: "deep", Labels: map[string]string{"colour": "blue"}},
		{Resource: "configmaps", Namespace: "narrow", Fields: name},
		{Resource: "configmaps", Fields: map[string]string{"metadata.namespace": "deep"}},
		{Resource: "pods"},
		{Resource: "pods", Fields: map[string]string{"spec.nodeName": "n1"}},
		{Resource: "pods", Fields: map[string]string{"spec.nodeName": ""}},
		{Resource: "pods", Fields: map[string]string{"spec.nodeName": "n2"}, Labels: red},
		{Resource: "pods", Namespace: "wide", Labels: red},
		{Resource: "pods", Fields: map[string]string{"status.phase": "Pending"}},
		{Resource: "pods", Namespace: "wide", Fields: name},
		{Resource: "events"},
		{Resource: "events", Namespace: "narrow"},
		{Resource: "widgets"},
		{Resource: "widgets", Namespace: "wide", Labels: red},
	}
}

// watchers are a mix of all ways to watch, and to read.
func watchers(n int, urls []string, revision func(context.Context) (int64, error)) (out []*Watcher) {
	starts := []Start{FromList, FromState, WatchList, FromAny}
	formats := []string{formatJSON, formatJSON, formatPartial, formatProtobuf}
	pauses := []func(int) time.Duration{
		func(int) time.Duration { return 0 },
		func(int) time.Duration { return 0 },
		func(int) time.Duration { return 5 * time.Millisecond },
		func(n int) time.Duration { // reads, and then does not
			if n%200 == 100 {
				return time.Second
			}
			return 0
		},
	}
	all := selectors()
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // nothing is guessed here
		s := all[i%len(all)]
		w := &Watcher{
			Client: NewClient(urls, token, i%2 == 0, i%3 == 0), Selector: s, Start: starts[i%len(starts)], Format: formats[r.IntN(len(formats))],
			Bookmarks: i%5 < 3, Pause: pauses[r.IntN(len(pauses))], Revision: revision, Last: last, Random: r,
		}
		if s.Resource == "widgets" && w.Format == formatProtobuf {
			w.Format = formatJSON
		}
		if i%3 == 1 {
			w.Asked = time.Duration(1+i%4) * time.Second
		}
		out = append(out, w)
	}
	return out
}

// finish writes an object with the last mark for each selector.
func finish(t *testing.T, f *fleet, ledger *Ledger) {
	t.Helper()
	for i, s := range selectors() {
		namespace, name := s.Namespace, fmt.Sprintf("last-%d", i)
		if s.Fields["metadata.namespace"] != "" {
			namespace = s.Fields["metadata.namespace"]
		}
		if namespace == "" {
			namespace = Namespaces[0]
		}
		of := Selector{Resource: s.Resource, Namespace: namespace}
		if s.Fields["metadata.name"] != "" {
			name = s.Fields["metadata.name"]
			code, answer, err := f.admin.Do(t.Context(), 0, http.MethodDelete, of.path()+"/"+name+"?gracePeriodSeconds=0", "", nil)
			if code != http.StatusOK && code != http.StatusNotFound {
				t.Fatalf("%d %s %v", code, answer, err)
			}
			ledger.add(Write{Resource: s.Resource, Key: namespace + "/" + name, Maybe: true})
			ledger.add(Write{Resource: s.Resource, Key: namespace + "/" + name, Maybe: true, Mark: last})
		}
		f.must(t, http.MethodPost, of.path(), formatJSON, Object(s.Resource, namespace, name, last, s.Labels["colour"], s.Fields["spec.nodeName"]))
	}
}

// compact has etcd forget, ten times a second, all but what the history has just seen.
func compact(ctx context.Context, etcd *clientv3.Client, h *History) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var seen []int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if seen = append(seen, h.Reached()); len(seen) > 5 {
			_, _ = etcd.Compact(ctx, seen[0]) // it may have been compacted there
			seen = seen[1:]
		}
	}
}

// TestWatchesEqualTheHistory has many watchers of all kinds follow two servers on one etcd under a load of
// writes, while the servers are killed and stopped in turn and etcd forgets; and compares all that they, and the
// writers, were told with what etcd says.
func TestWatchesEqualTheHistory(t *testing.T) {
	// A few of the writes find their server away, so more are tried than the 200 a second that are to be acknowledged.
	const writers, perSecond, rest = 40, 250, 250
	etcd := startEtcd(t)
	h := Follow(t.Context(), etcd.Client)
	f := startFleet(t, 2, "--etcd-servers="+etcd.url)
	f.furnish(t)
	go compact(t.Context(), etcd.Client, h)

	watching, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	all := watchers(50, f.urls, etcd.revision)
	var watch sync.WaitGroup
	for _, w := range all {
		watch.Go(func() {
			if err := w.Run(watching); err != nil {
				t.Error(err)
			}
		})
	}
	l := f.startLoad(t, writers, perSecond)
	var away []time.Duration
	for i, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		l.goOn(t, rest)
		if was := f.restart(t, i%2, signal); signal == syscall.SIGKILL {
			away = append(away, was)
		}
	}
	readyInTime(t, away...)
	l.goOn(t, rest)
	l.end()
	took := time.Since(l.begun)
	t.Logf("%d writes were acknowledged in %v: %.0f a second", l.ledger.Len(), took, float64(l.ledger.Len())/took.Seconds())
	finish(t, f, l.ledger)
	tooLate := time.AfterFunc(2*time.Minute, giveUp)
	watch.Wait()
	tooLate.Stop()
	t.Logf("all watchers had seen the last of them after %v", time.Since(l.begun))
	judgeLedger(t, h, l.ledger, etcd.Client)
	judgeWatchers(t, h, f, l.ledger, all)
}

// judgeLedger compares what was acknowledged with all that has happened.
func judgeLedger(t *testing.T, h *History, ledger *Ledger, etcd *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now, err := etcd.Get(ctx, "x")
	if err == nil {
		err = h.Wait(ctx, now.Header.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	report(t, "the ledger", ledger.Judge(h))
}

func judgeWatchers(t *testing.T, h *History, f *fleet, ledger *Ledger, all []*Watcher) {
	t.Helper()
	events, endings := 0, map[Ending]int{}
	for i, w := range all {
		what := fmt.Sprintf("watcher %d (%s, %s, for %v)", i, w.Start, w.Format, w.Asked)
		report(t, what, h.Judge(w.Selector, w.Episodes))
		report(t, what, JudgeEndings(w.Episodes, f.outages))
		for _, e := range w.Episodes {
			events += len(e.Events)
			endings[e.Ending]++
		}
	}
	t.Logf("%d events came; lists and watches ended so: %v", events, endings)
	for _, how := range []Ending{Ended, Expired, Left} {
		if endings[how] == 0 {
			t.Errorf("no watch %s: the test tells less than it should", how)
		}
	}
	if ledger.Len() < 1000 || events < 3000 {
		t.Errorf("only %d writes and %d events: the test tells less than it should", ledger.Len(), events)
	}
	seeded(t, h, all)
	seededWrites(t, h, ledger)
}

func report(t *testing.T, what string, wrong []string) {
	t.Helper()
	for i, text := range wrong {
		if i == 5 {
			t.Errorf("%s: and %d more", what, len(wrong)-i)
			return
		}
		t.Errorf("%s: %s", what, text)
	}
}
