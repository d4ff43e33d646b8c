package watchcheck

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// link leads to an etcd, and can stop its answers.
type link struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	flows chan struct{} // closed while answers come through
	conns []net.Conn
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: to, flows: make(chan struct{})}
	close(l.flows)
	t.Cleanup(func() { _ = listener.Close(); l.cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // closed
			}
			far, err := net.Dial("tcp", l.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			go l.pass(near, far, false)
			go l.pass(far, near, true)
		}
	}()
	return l
}

func (l *link) pass(from, to net.Conn, answers bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	for b := make([]byte, 32<<10); ; {
		n, err := from.Read(b)
		if answers {
			l.mu.Lock()
			flows := l.flows
			l.mu.Unlock()
			<-flows
		}
		if _, failed := to.Write(b[:n]); err != nil || failed != nil {
			return
		}
	}
}

// freeze holds answers back: what is asked arrives, and nobody learns what became of it.
func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows = make(chan struct{})
}

// cut ends all connections, and with them what was held back; new ones lead to the etcd again.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
	select {
	case <-l.flows:
	default:
		close(l.flows)
	}
}

// TestAServerThatHearsNothingFromEtcdTellsNothingOld holds etcd's answers and events back from one of two servers, and
// loses them, while the other one serves.
func TestAServerThatHearsNothingFromEtcdTellsNothingOld(t *testing.T) {
	etcd := startEtcd(t)
	h := Follow(t.Context(), etcd.Client)
	link := newLink(t, etcd.url[len("http://"):])
	f := newFleet(t, 2, "--request-timeout=2s")
	f.args[0] = append(f.args[0], "--etcd-servers=http://"+link.listener.Addr().String())
	f.args[1] = append(f.args[1], "--etcd-servers="+etcd.url)
	f.start(t, 0)
	f.start(t, 1)
	f.furnish(t)
	watching, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	all := watchers(2*len(selectors()), f.urls, etcd.revision)
	var watch sync.WaitGroup
	for _, w := range all {
		watch.Go(func() {
			if err := w.Run(watching); err != nil {
				t.Error(err)
			}
		})
	}
	l := f.startLoad(t, 20, 100)
	for round := range 2 {
		l.goOn(t, 50)
		o := Outage{Server: 0, From: time.Now()}
		link.freeze()
		nothingOld(t, f, fmt.Sprint("meanwhile-", round))
		link.cut()
		until(t, "the server hears from etcd again", func() bool {
			code, _, _ := f.admin.Do(t.Context(), 0, http.MethodGet, "/readyz", "", nil) // no answer is code 0
			return code == http.StatusOK
		})
		o.To = time.Now()
		f.outages = append(f.outages, o)
	}
	l.goOn(t, 50)
	l.end()
	finish(t, f, l.ledger)
	tooLate := time.AfterFunc(2*time.Minute, giveUp)
	watch.Wait()
	tooLate.Stop()
	judgeLedger(t, h, l.ledger, etcd.Client)
	for i, w := range all {
		report(t, fmt.Sprintf("watcher %d (%s)", i, w.Start), append(h.Judge(w.Selector, w.Episodes), JudgeEndings(w.Episodes, f.outages)...))
	}
}

// nothingOld writes by server 1, and has server 0 tell of that or refuse to tell.
func nothingOld(t *testing.T, f *fleet, name string) {
	t.Helper()
	code, answer, err := f.admin.Do(t.Context(), 1, http.MethodPost, wide, formatJSON, Object("configmaps", "wide", name, name, "red", ""))
	if code != http.StatusCreated {
		t.Fatalf("by the other server: %d %s %v", code, answer, err)
	}
	paths := []string{wide + "/" + name, wide + "?fieldSelector=metadata.name%3D" + name, wide, wide + "?limit=5000", wide + "?resourceVersion=" + versionOf(answer)}
	together(len(paths), func(i int) {
		code, answer, err := f.admin.Do(t.Context(), 0, http.MethodGet, paths[i], "", nil)
		if told := code == http.StatusOK && strings.Contains(string(answer), `"name":"`+name+`"`); err != nil || code < 500 && !told {
			t.Errorf("%s by a server that hears nothing: %d %s %v", paths[i], code, answer[:min(300, len(answer))], err)
		}
	})
}
