package watchcheck

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ask is a request and how it must end.
type ask struct {
	method, path, media string
	object              any
	code                int // 0 for an error of the server, in its own words
	within              time.Duration
}

// answered asks all at once, and judges how each ends.
func (f *fleet) answered(t *testing.T, when string, asks ...ask) {
	t.Helper()
	together(len(asks), func(i int) {
		a, begun := asks[i], time.Now()
		code, answer, err := f.admin.Do(t.Context(), 0, a.method, a.path, a.media, a.object)
		took := time.Since(begun)
		right := err == nil && code == a.code
		if a.code == 0 {
			right = err == nil && code >= 500 && strings.Contains(string(answer), `"status":"Failure"`)
		}
		if !right || a.within > 0 && took > a.within {
			t.Errorf("%s: %s %s: %d %s %v after %v", when, a.method, a.path, code, answer[:min(300, len(answer))], err, took)
		}
	})
}

const wide = "/api/v1/namespaces/wide/configmaps"

// TestAnEtcdThatStandsStillEndsRequestsInTime stops etcd for some seconds under a load of writes.
func TestAnEtcdThatStandsStillEndsRequestsInTime(t *testing.T) {
	const slack = 5 * time.Second // of a machine that has other things to do
	etcd := startEtcd(t)
	h := Follow(t.Context(), etcd.Client)
	f := startFleet(t, 1, "--etcd-servers="+etcd.url, "--request-timeout=2s")
	f.furnish(t)
	names := []string{"updated", "patched", "deleted", "created"}
	for _, name := range names[:3] {
		f.must(t, http.MethodPost, wide, formatJSON, Object("configmaps", "wide", name, "old", "red", ""))
	}
	l := f.startLoad(t, 20, 100)
	l.goOn(t, 50)
	if err := etcd.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const limit = 2 * time.Second
	f.answered(t, "while etcd stands still",
		ask{http.MethodPost, wide, formatJSON, Object("configmaps", "wide", "created", "new", "red", ""), 0, limit + slack},
		ask{http.MethodPut, wide + "/updated", formatJSON, Object("configmaps", "wide", "updated", "new", "red", ""), 0, limit + slack},
		ask{http.MethodPatch, wide + "/patched", "application/merge-patch+json", `{"metadata":{"annotations":{"` + mark + `":"new"}}}`, 0, limit + slack},
		ask{http.MethodDelete, wide + "/deleted", "", nil, 0, limit + slack},
		ask{http.MethodPost, "/api/v1/namespaces/wide/events", formatJSON, Object("events", "wide", "event", "new", "red", ""), 0, limit + slack},
		ask{http.MethodGet, wide + "/updated", "", nil, 0, limit + slack},
		ask{http.MethodGet, wide, "", nil, 0, limit + slack},
		ask{http.MethodPost, wide + "?timeout=500ms", formatJSON, Object("configmaps", "wide", "hasty", "new", "red", ""), 0, limit/4 + slack},
		ask{http.MethodGet, wide + "?resourceVersion=0", "", nil, http.StatusOK, slack},
		ask{http.MethodGet, wide + "/updated?resourceVersion=0", "", nil, http.StatusOK, slack},
	)
	if code, _, err := f.admin.Do(t.Context(), 0, http.MethodGet, "/readyz", "", nil); err != nil || code != http.StatusInternalServerError {
		t.Errorf("without etcd the server is ready: %d, %v", code, err)
	}
	if err := etcd.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.goOn(t, 50)
	decided := f.marks(t, names)
	l.goOn(t, 100)
	for name, was := range f.marks(t, names) {
		t.Logf("%s: %q", name, was)
		if was != decided[name] {
			t.Errorf("%s was %q after a write that had ended without an answer, and later %q", name, decided[name], was)
		}
	}
	l.end()
	for _, name := range append(names, "hasty") {
		old := Write{Resource: "configmaps", Key: "wide/" + name, Mark: "old", Maybe: true}
		l.ledger.add(old)
		if name == "deleted" {
			old.Mark = ""
		} else {
			old.Mark = "new"
		}
		l.ledger.add(old)
	}
	l.ledger.add(Write{Resource: "events", Key: "wide/event", Mark: "new", Maybe: true})
	judgeLedger(t, h, l.ledger, etcd.Client)
}

// marks are those of ConfigMaps of the namespace "wide", none where there is no such ConfigMap.
func (f *fleet) marks(t *testing.T, names []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names {
		code, answer, err := f.admin.Do(t.Context(), 0, http.MethodGet, wide+"/"+name, "", nil)
		if code != http.StatusOK && code != http.StatusNotFound {
			t.Fatalf("%s: %d %s %v", name, code, answer, err)
		}
		all[name] = markIn(answer)
	}
	return all
}

func markIn(answer []byte) string {
	_, rest, _ := strings.Cut(string(answer), `"`+mark+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// fillUp makes large ConfigMaps until that is refused, and answers how many there are.
func (f *fleet) fillUp(t *testing.T, ledger *Ledger) (made int) {
	t.Helper()
	large := strings.Repeat("x", 500<<10)
	for {
		name := fmt.Sprintf("large-%d", made)
		o := Object("configmaps", "wide", name, name, "red", "")
		o["data"] = map[string]string{"large": large}
		write := Write{Resource: "configmaps", Key: "wide/" + name, Mark: name}
		code, answer, err := f.admin.Do(t.Context(), 0, http.MethodPost, wide, formatJSON, o)
		if write.Maybe = code/100 != 2; !write.Maybe {
			_, _ = fmt.Sscan(versionOf(answer), &write.Revision) // the ledger refuses a version that is none
		}
		ledger.add(write)
		if write.Maybe {
			t.Logf("after %d large objects: %d %s %v", made, code, answer, err)
			return made
		}
		if made++; made > 1000 {
			t.Fatal("there is room for all")
		}
	}
}

// TestAnEtcdWithoutSpaceIsReadAndEmptied fills etcd to its quota, when it refuses to store more until somebody has
// looked after it.
func TestAnEtcdWithoutSpaceIsReadAndEmptied(t *testing.T) {
	etcd := startEtcd(t, "--quota-backend-bytes=16000000")
	h := Follow(t.Context(), etcd.Client)
	f := startFleet(t, 1, "--etcd-servers="+etcd.url)
	f.furnish(t)
	ledger := &Ledger{}
	made := f.fillUp(t, ledger)
	for _, when := range []string{"without space", "without space, after a restart"} {
		f.answered(t, when,
			ask{method: http.MethodPost, path: wide, media: formatJSON, object: Object("configmaps", "wide", "one-more", "", "red", "")},
			ask{method: http.MethodPut, path: wide + "/large-1", media: formatJSON, object: Object("configmaps", "wide", "large-1", "other", "red", "")},
			ask{method: http.MethodPost, path: "/api/v1/namespaces/wide/events", media: formatJSON, object: Object("events", "wide", "event", "", "red", "")},
			ask{method: http.MethodGet, path: wide, code: http.StatusOK},
			ask{method: http.MethodGet, path: wide + "/large-1", code: http.StatusOK},
			ask{method: http.MethodGet, path: wide + "?watch=true&resourceVersion=0&timeoutSeconds=1", code: http.StatusOK},
		)
		if when == "without space" {
			f.restart(t, 0, syscall.SIGKILL)
		}
	}
	// What is there may be taken away, which is how users make room.
	for i := range made - 1 {
		name := fmt.Sprintf("large-%d", i+1)
		f.answered(t, "without space", ask{method: http.MethodDelete, path: wide + "/" + name, code: http.StatusOK})
		ledger.add(Write{Resource: "configmaps", Key: "wide/" + name})
	}
	now, err := etcd.revision(t.Context())
	if err == nil {
		err = h.Wait(t.Context(), now)
	}
	if err == nil {
		_, err = etcd.Compact(t.Context(), now)
	}
	if err == nil {
		_, err = etcd.Defragment(t.Context(), etcd.url)
	}
	if err == nil {
		_, err = etcd.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	}
	if err != nil {
		t.Fatal(err)
	}
	l := f.startLoad(t, 5, 50)
	l.goOn(t, 50)
	l.end()
	maps.Copy(l.ledger.writes, ledger.writes)
	judgeLedger(t, h, l.ledger, etcd.Client)
}
