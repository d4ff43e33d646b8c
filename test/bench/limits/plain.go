package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// plain answers as another server did, from memory and without compression. It knows nothing of objects: a get of
// any pod is answered with the first one's bytes, and a patch becomes that pod's event with the patch's time in it.
type plain struct {
	from, token string
	client      *http.Client

	mu       sync.Mutex
	answers  map[string]answer
	watchers map[*watcher]bool
	nodes    int // as many as are watched, from the first on
}

// answer is what the other server said.
type answer struct {
	code  int
	media string
	body  []byte
}

// watcher is a stream of events; node is the one that it wants the pods of, -1 for those of all.
type watcher struct {
	node   int
	events chan []byte
}

// queue is how many events may wait for a watcher's socket.
const queue = 4096

func serve(args []string) error {
	f := flags("serve")
	from := f.String("from", "", "base URL of the server whose answers are sent")
	token := f.String("token", "", "bearer token for it")
	listen := f.String("listen", "127.0.0.1:7443", "address to serve on")
	_ = f.Parse(args) // it exits
	p := &plain{from: *from, token: *token, answers: map[string]answer{}, watchers: map[*watcher]bool{}, client: &http.Client{Transport: &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who answers is not what is measured
	}}}
	return serveTLS(*listen, p)
}

// serveTLS serves HTTP/2 at an address, with a certificate that nobody verifies, until the process ends.
func serveTLS(address string, h http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close() // another is wanted
	s.Listener, s.EnableHTTP2 = listener, true
	s.StartTLS()
	select {}
}

// ServeHTTP implements http.Handler.
func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost: // of what the client makes before it begins
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPatch:
		p.patch(w, r)
	case r.URL.Query().Get("watch") == "true":
		p.watch(w, r)
	default:
		a, err := p.get(r.URL.RequestURI(), r.Header.Get("Accept"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", a.media)
		w.WriteHeader(a.code)
		_, _ = w.Write(a.body) // a client that has gone is not missed
	}
}

var podName = regexp.MustCompile(`/pod-(\d+)$`)

// get asks the other server once.
func (p *plain) get(uri, accept string) (answer, error) {
	uri = podName.ReplaceAllString(uri, "/pod-0")
	p.mu.Lock()
	defer p.mu.Unlock()
	key := uri + " " + accept
	if a, known := p.answers[key]; known {
		return a, nil
	}
	r, err := http.NewRequest(http.MethodGet, p.from+uri, nil)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Accept", accept)
	resp, err := p.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{code: resp.StatusCode, media: resp.Header.Get("Content-Type")}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	p.answers[key] = a
	return a, nil
}

// watch streams until the client goes.
func (p *plain) watch(w http.ResponseWriter, r *http.Request) {
	self := &watcher{node: -1, events: make(chan []byte, queue)}
	if node, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "spec.nodeName=node-"); ok {
		var err error
		if self.node, err = strconv.Atoi(node); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	p.mu.Lock()
	p.watchers[self], p.nodes = true, max(p.nodes, self.node+1)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, self)
	}()
	w.Header().Set("Content-Type", "application/json")
	out := http.NewResponseController(w)
	err := out.Flush()
	for err == nil {
		select {
		case <-r.Context().Done():
			return
		case event := <-self.events:
			_, err = w.Write(event)
		}
		for more := true; more && err == nil; { // what came meanwhile goes with it
			select {
			case event := <-self.events:
				_, err = w.Write(event)
			default:
				more = false
			}
		}
		if err == nil {
			err = out.Flush()
		}
	}
}

// patch answers with the pod and sends its event to all who want it.
func (p *plain) patch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	pod, err := p.get(r.URL.Path, "application/json")
	if err != nil || pod.code != http.StatusOK {
		http.Error(w, fmt.Sprintf("%d %v", pod.code, err), http.StatusBadGateway)
		return
	}
	stamped := stamp(pod.body, body)
	event := append(append([]byte(`{"type":"MODIFIED","object":`), bytes.TrimSpace(stamped)...), "}\n"...)
	p.send(r.URL.Path, event)
	w.Header().Set("Content-Type", pod.media)
	_, _ = w.Write(stamped) // a client that has gone is not missed
}

// send sends the event of the pod at a path. The client has spread pods over nodes in turn, and watches each of those.
func (p *plain) send(path string, event []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	node := -1
	if number := podName.FindStringSubmatch(path); number != nil && p.nodes > 0 {
		if n, err := strconv.Atoi(number[1]); err == nil {
			node = n % p.nodes
		}
	}
	for watcher := range p.watchers {
		if watcher.node < 0 || watcher.node == node {
			watcher.events <- event
		}
	}
}

var timeOf = regexp.MustCompile(`"bench/t":"[0-9]*"`)

// stamp puts the time that a patch brings into a pod that was patched so before.
func stamp(pod, patch []byte) []byte {
	at := timeOf.FindIndex(pod)
	if at == nil {
		return pod
	}
	out := append(make([]byte, 0, len(pod)+32), pod[:at[0]]...)
	return append(append(out, timeOf.Find(patch)...), pod[at[1]:]...)
}
