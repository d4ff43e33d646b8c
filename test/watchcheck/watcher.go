package watchcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Start is how a watcher begins when it knows nothing.
type Start string

// The ways to begin: a list and a watch after it, a watch of the present state, one of any state, and one whose
// state ends with a bookmark.
const (
	FromList  Start = "list"
	FromState Start = "state"
	FromAny   Start = "any"
	WatchList Start = "watchlist"
)

// Watcher is one client that watches, records all that it is told, and goes on where a stream ended.
type Watcher struct {
	Client    *Client
	Selector  Selector
	Start     Start
	Format    string
	Bookmarks bool
	Asked     time.Duration                        // of each watch; 0 for long
	Pause     func(n int) time.Duration            // before it reads event n
	Revision  func(context.Context) (int64, error) // etcd's
	Last      string                               // the mark at whose sight it has seen enough
	Random    *rand.Rand

	Episodes []Episode
	known    int64 // the revision up to which everything was seen; 0 for nothing
}

// Run watches until the last mark was seen, or ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		e := Episode{Server: w.Random.IntN(len(w.Client.URLs)), Begun: time.Now(), After: w.known, Asked: w.Asked}
		if w.known == 0 && w.Start != FromAny {
			var err error
			if e.Floor, err = w.Revision(ctx); err != nil {
				return err
			}
		}
		e.List = w.known == 0 && w.Start == FromList
		if e.List {
			w.list(ctx, &e)
		} else {
			w.watch(ctx, &e)
		}
		e.Over = time.Now()
		w.Episodes = append(w.Episodes, e)
		if e.Ending == Left {
			return nil
		}
		if e.Ending == Refused || e.Ending == Later { // its server is away, or has no time
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return fmt.Errorf("%v never saw %s: %d episodes, up to %d", w.Selector, w.Last, len(w.Episodes), w.known)
}

func (e *Episode) end(how Ending, why error) { e.Ending, e.Why = how, fmt.Sprint(why) }

// refused is how an answer ends that is not the one asked for.
func refused(code int) Ending {
	if code == http.StatusTooManyRequests || code == http.StatusGatewayTimeout {
		return Later
	}
	return Refused
}

func (w *Watcher) list(ctx context.Context, e *Episode) {
	code, answer, err := w.Client.Do(ctx, e.Server, http.MethodGet, w.Selector.path()+"?"+w.Selector.query().Encode(), "", nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil: // the client's patience, of which the server knows nothing
		e.end(Later, err)
		return
	case err != nil || code != http.StatusOK:
		e.end(refused(code), fmt.Errorf("%d %s: %w", code, answer, err))
		return
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
		Items    []json.RawMessage
	}
	err = json.Unmarshal(answer, &list)
	if err == nil {
		e.Revision, err = strconv.ParseInt(list.Metadata.ResourceVersion, 10, 64)
	}
	for _, item := range list.Items {
		u, added := &unstructured.Unstructured{}, Event{}
		if err == nil {
			err = json.Unmarshal(item, &u.Object)
		}
		if err == nil {
			added, err = event("ADDED", u)
		}
		e.Events = append(e.Events, added)
		if added.State.Mark == w.Last {
			defer e.end(Left, nil)
		}
	}
	if err != nil {
		e.end(Broken, err)
		return
	}
	w.known = e.Revision
	e.end(Ended, nil)
}

// ask is the path and query of a watch.
func (w *Watcher) ask() string {
	q := w.Selector.query()
	q.Set("watch", "true")
	if w.Bookmarks || w.Start == WatchList {
		q.Set("allowWatchBookmarks", "true")
	}
	switch {
	case w.known > 0:
		q.Set("resourceVersion", strconv.FormatInt(w.known, 10))
	case w.Start == FromAny:
		q.Set("resourceVersion", "0")
	case w.Start == WatchList:
		q.Set("sendInitialEvents", "true")
		q.Set("resourceVersionMatch", "NotOlderThan")
	}
	if w.Asked > 0 {
		q.Set("timeoutSeconds", strconv.Itoa(int(w.Asked/time.Second)))
	}
	return w.Selector.path() + "?" + q.Encode()
}

func (w *Watcher) watch(ctx context.Context, e *Episode) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := w.Client.send(ctx, e.Server, http.MethodGet, w.ask(), "", w.Format, nil)
	if err != nil {
		e.end(Refused, err)
		return
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body) // as much as there is
		e.end(refused(r.StatusCode), fmt.Errorf("%d %s", r.StatusCode, text))
		return
	}
	next := jsonFrames(r.Body)
	if strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
		next = protobufFrames(r.Body, kindOf(w.Selector.Resource))
	}
	for {
		if !w.pause(ctx, len(e.Events)) {
			e.end(Broken, ctx.Err())
			return
		}
		kind, o, status, err := next()
		if w.take(e, kind, o, status, err) {
			return
		}
	}
}

// pause is how a slow reader is slow.
func (w *Watcher) pause(ctx context.Context, n int) bool {
	d := w.Pause(n)
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// take records a frame, and says whether the watch is over.
func (w *Watcher) take(e *Episode, kind string, o metav1.Object, status *metav1.Status, err error) bool {
	var told Event
	if err == nil && status == nil {
		told, err = event(kind, o)
	}
	switch {
	case errors.Is(err, io.EOF):
		e.end(Ended, err)
		return true
	case err != nil:
		e.end(Broken, err)
		return true
	case status != nil && status.Code == http.StatusGone:
		w.known = 0
		e.end(Expired, errors.New(status.Message))
		return true
	case status != nil:
		e.end(Broken, fmt.Errorf("%+v", status))
		return true
	}
	e.Events = append(e.Events, told)
	if w.known > 0 || told.Type != added && (w.Start != WatchList || told.Whole) {
		// Additions of a first state come in the order of names, and tell nothing of how far it goes.
		w.known = told.State.Revision
	}
	if told.State.Mark == w.Last {
		e.end(Left, nil)
		return true
	}
	return false
}
