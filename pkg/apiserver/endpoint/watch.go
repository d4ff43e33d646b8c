package endpoint

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Times of watches, as kube-apiserver's: one that names no end gets a random one between minWatch and twice
// that, so that clients do not all come again at once; bookmarks come about once a minute.
const (
	minWatch      = 30 * time.Minute
	bookmarkEvery = time.Minute
	// lastWords is how long the client of a watch that is over may take to read its end.
	lastWords = 10 * time.Second
	// longestWatch keeps what clients ask for within what a time can say.
	longestWatch = math.MaxInt64 * time.Nanosecond
)

// watch answers a stream of events.
func (s *Served) watch(w http.ResponseWriter, r *http.Request, info *request.Info, fromPath string) {
	f, err := negotiate(r, s.protobuf(), asTable, asPartial, asPartialList)
	if err != nil {
		fail(w, r, err)
		return
	}
	if f.media == mediaYAML {
		fail(w, r, notAcceptable(s.protobuf(), parseAccept(r.Header.Get("Accept"))))
		return
	}
	opts, err := s.listOptions(r, info)
	if err != nil {
		fail(w, r, err)
		return
	}
	sel, err := s.selection(opts, info, fromPath)
	if err != nil {
		fail(w, r, err)
		return
	}
	include := metav1.IncludeMetadata
	if f.as == asTable {
		if include, err = includeOf(r); err != nil {
			fail(w, r, err)
			return
		}
	}
	st := &stream{s: s, f: f, include: include, first: true}
	initial, watcher, err := s.open(r.Context(), opts, sel, st)
	if err != nil {
		if errors.Is(err, watchcache.ErrExpired) {
			st.begin(w, r)
			st.status(apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %s", versionsOf(err))))
			return
		}
		fail(w, r, err)
		return
	}
	defer watcher.Close()
	ctx, cancel := context.WithTimeout(r.Context(), duration(opts))
	defer cancel()
	defer Release(ctx, w, lastWords)()
	st.begin(w, r)
	for _, e := range initial {
		if st.event(&watchcache.Event{Type: watchcache.Added, Entry: e, Revision: e.Revision()}) != nil {
			return
		}
	}
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents && opts.AllowWatchBookmarks {
		if st.bookmark(watcher.Revision(), true) != nil {
			return
		}
	}
	st.flush()
	st.follow(ctx, watcher, opts.AllowWatchBookmarks)
}

func duration(opts *internalversion.ListOptions) time.Duration {
	if opts.TimeoutSeconds != nil && *opts.TimeoutSeconds > 0 {
		return time.Duration(min(*opts.TimeoutSeconds, int64(longestWatch/time.Second))) * time.Second
	}
	return time.Duration(float64(minWatch) * (1 + rand.Float64()))
}

// versionsOf gives the figures that the cache's refusal carries: "5 (17)".
func versionsOf(err error) string {
	text := err.Error()
	if i := len(watchcache.ErrExpired.Error()) + 2; len(text) > i {
		return text[i:]
	}
	return text
}

// open finds where a watch begins: at a revision, or at the present state, which is then sent first.
func (s *Served) open(ctx context.Context, opts *internalversion.ListOptions, sel watchcache.Selection, _ *stream) ([]*watchcache.Entry, *watchcache.Watcher, error) {
	state := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	version := opts.ResourceVersion
	if opts.SendInitialEvents == nil && (version == "" || version == "0") {
		state = true
	}
	if state {
		switch {
		case version == "":
			if _, err := s.Cache.Fresh(ctx); err != nil {
				return nil, nil, apierrors.NewInternalError(err)
			}
		case version != "0":
			want, err := parseVersion(version)
			if err != nil {
				return nil, nil, err
			}
			if err := s.reach(ctx, want); err != nil {
				return nil, nil, err
			}
		}
		n, w, err := s.Cached.WatchFromNow(sel)
		if err != nil {
			return nil, nil, err
		}
		var entries []*watchcache.Entry
		part := n
		if indexed, ok := n.ByIndex(sel.IndexField, sel.IndexValue); ok && sel.IndexField != "" {
			part = indexed
		}
		part.Ascend(sel.Prefix, "", func(e *watchcache.Entry) bool {
			if sel.Matches(e) {
				entries = append(entries, e)
			}
			return true
		})
		return entries, w, nil
	}
	var after int64
	if version == "" || version == "0" { // sendInitialEvents=false: from now
		var err error
		if after, err = s.Cache.Fresh(ctx); err != nil {
			return nil, nil, apierrors.NewInternalError(err)
		}
	} else {
		var err error
		if after, err = parseVersion(version); err != nil {
			return nil, nil, err
		}
	}
	w, err := s.Cached.Watch(after, sel)
	return nil, w, err
}

// stream writes events to one client.
type stream struct {
	s       *Served
	f       format
	include metav1.IncludeObjectPolicy
	first   bool // no table row was sent yet
	w       http.ResponseWriter
	control *http.ResponseController
}

func (st *stream) begin(w http.ResponseWriter, r *http.Request) {
	st.w, st.control = w, http.NewResponseController(w)
	header(w, r, st.f)
	if st.f.media == mediaProtobuf {
		w.Header().Set("Content-Type", mediaProtobuf+";stream=watch")
	}
	w.WriteHeader(http.StatusOK)
	st.flush()
}

func (st *stream) flush() { _ = st.control.Flush() }

// follow sends events until the client goes, the time is over, or the client has fallen behind.
func (st *stream) follow(ctx context.Context, watcher *watchcache.Watcher, bookmarks bool) {
	ticker := time.NewTicker(bookmarkEvery)
	defer ticker.Stop()
	wake := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}()
	for {
		events, err := watcher.Next(ctx, wake)
		switch {
		case ctx.Err() != nil:
			if bookmarks {
				_ = st.bookmark(watcher.Revision(), false)
			}
			return
		case errors.Is(err, watchcache.ErrExpired):
			st.status(apierrors.NewResourceExpired("too old resource version: the watch fell behind; list again"))
			return
		case err != nil:
			return
		case len(events) == 0:
			if bookmarks && st.bookmark(watcher.Revision(), false) != nil {
				return
			}
		}
		for i := range events {
			if st.event(&events[i]) != nil {
				return
			}
		}
		st.flush()
	}
}

// event sends one event. Its frame is made once for all clients that speak alike.
func (st *stream) event(e *watchcache.Event) error {
	type frameKey struct {
		media, as string
		kind      string
		include   metav1.IncludeObjectPolicy
		first     bool
	}
	key := frameKey{st.f.media, st.f.as, st.s.Kind.String(), st.include, st.first && st.f.as == asTable}
	b, err := e.Frame(key, func() ([]byte, error) { return st.frame(e) })
	if err != nil {
		st.status(apierrors.NewInternalError(err))
		return err
	}
	st.first = false
	_, err = st.w.Write(b)
	return err
}

// frame encodes an event.
func (st *stream) frame(e *watchcache.Event) ([]byte, error) {
	version := strconv.FormatInt(e.Revision, 10)
	if st.f.as == "" && e.Entry.Revision() == e.Revision {
		b, err := st.s.single(e.Entry, format{media: st.f.media})
		if err != nil {
			return nil, err
		}
		return frameOf(st.f, e.Type, b)
	}
	o, err := st.s.Object(e.Entry)
	if err != nil {
		return nil, err
	}
	if e.Entry.Revision() != e.Revision { // a deletion carries its own revision
		o = o.DeepCopyObject().(watchcache.Object)
		o.SetResourceVersion(version)
	}
	switch st.f.as {
	case asTable:
		t := &metav1.Table{TypeMeta: tableType, ListMeta: metav1.ListMeta{ResourceVersion: version}}
		if st.first {
			t.ColumnDefinitions = st.s.columns()
		}
		row, err := st.s.rowOf(o, st.include)
		if err != nil {
			return nil, err
		}
		t.Rows = []metav1.TableRow{row}
		return st.object(e.Type, t)
	case asPartial, asPartialList:
		return st.object(e.Type, st.s.partial(o))
	}
	served, err := st.s.fromStored(o)
	if err != nil {
		return nil, err
	}
	return st.object(e.Type, served)
}

func (st *stream) object(eventType string, o runtime.Object) ([]byte, error) {
	b, err := marshal(o, format{media: st.f.media})
	if err != nil {
		return nil, err
	}
	return frameOf(st.f, eventType, b)
}

// frameOf puts an encoded object into an event: a JSON line, or a length and a WatchEvent message.
func frameOf(f format, eventType string, object []byte) ([]byte, error) {
	if f.media == mediaProtobuf {
		event := pbField(text(nil, 1, eventType), 2, pbField(nil, 1, object))
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(event))), event...), nil
	}
	if n := len(object); n > 0 && object[n-1] == '\n' {
		object = object[:n-1]
	}
	return slices.Concat([]byte(`{"type":"`+eventType+`","object":`), object, []byte("}\n")), nil
}

// bookmark tells how far the client has seen everything.
func (st *stream) bookmark(revision int64, initial bool) error {
	version := strconv.FormatInt(revision, 10)
	var o runtime.Object
	var meta metav1.Object
	switch st.f.as {
	case asTable:
		o = &metav1.Table{TypeMeta: tableType, ListMeta: metav1.ListMeta{ResourceVersion: version}, Rows: []metav1.TableRow{}}
		if st.first {
			o.(*metav1.Table).ColumnDefinitions = st.s.columns()
		}
		if initial {
			p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: asPartial, APIVersion: "meta.k8s.io/v1"}}
			p.ResourceVersion = version
			p.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
			raw, err := json.Marshal(p)
			if err != nil {
				return err
			}
			o.(*metav1.Table).Rows = []metav1.TableRow{{Cells: []any{}, Object: runtime.RawExtension{Raw: raw}}}
		}
	case asPartial, asPartialList:
		p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: asPartial, APIVersion: "meta.k8s.io/v1"}}
		o, meta = p, p
	default:
		o = st.s.newObject()
		o.GetObjectKind().SetGroupVersionKind(st.s.Kind)
		meta, _ = o.(metav1.Object)
	}
	if meta != nil {
		meta.SetResourceVersion(version)
		if initial {
			meta.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		}
	}
	b, err := st.object("BOOKMARK", o)
	if err == nil {
		_, err = st.w.Write(b)
		st.flush()
	}
	return err
}

// status ends the stream with an ERROR event.
func (st *stream) status(err error) {
	s := asStatus(err)
	if b, err := st.object("ERROR", s); err == nil {
		_, _ = st.w.Write(b)
		st.flush()
	}
}
