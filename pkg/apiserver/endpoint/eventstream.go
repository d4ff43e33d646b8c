package endpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
	"github.com/sampan-project/sampan/pkg/streaming"
)

// stream writes events to one client.
type stream struct {
	s       *Served
	f       format
	include metav1.IncludeObjectPolicy
	first   bool       // no table row was sent yet
	kind    *frameKind // of the last event
	single  bool       // each event is a message of its own
	w       io.Writer
	flush   func()
}

// begin answers the request. The events that follow are the rest of the answer, or messages where the client
// asked for a WebSocket; end must be called then. gone is closed when the client of one has left.
func (st *stream) begin(w http.ResponseWriter, r *http.Request) (gone <-chan struct{}, end func(), err error) {
	if streaming.IsSocket(r) {
		m, err := streaming.AcceptMessages(w, r, st.f.media != mediaProtobuf)
		if err != nil {
			return nil, nil, err
		}
		st.w, st.flush, st.single = messageWriter{m, st.f}, func() {}, true
		return m.Gone(), m.Close, nil
	}
	control := http.NewResponseController(w)
	st.w, st.flush = w, func() { _ = control.Flush() }
	header(w, r, st.f)
	if st.f.media == mediaProtobuf {
		w.Header().Set("Content-Type", mediaProtobuf+";stream=watch")
	}
	w.WriteHeader(http.StatusOK)
	st.flush()
	return nil, func() {}, nil
}

// state sends what there is when a watch begins, and that this is all where the client wants to be told.
func (st *stream) state(initial []*watchcache.Entry, revision int64, opts *internalversion.ListOptions) error {
	for _, e := range initial {
		b, err := st.event(&watchcache.Event{Type: watchcache.Added, Entry: e, Revision: e.Revision()})
		if err == nil {
			_, err = st.w.Write(b)
		}
		if err != nil {
			return err
		}
	}
	if saysListed(opts) {
		if err := st.bookmark(revision, true); err != nil {
			return err
		}
	}
	st.flush()
	return nil
}

// saysListed is whether the client is told when it has been sent all that there was.
func saysListed(opts *internalversion.ListOptions) bool {
	return opts.SendInitialEvents != nil && *opts.SendInitialEvents && opts.AllowWatchBookmarks
}

// messageWriter sends each frame as a message, which needs no length before it.
type messageWriter struct {
	*streaming.Messages
	f format
}

func (m messageWriter) Write(frame []byte) (int, error) {
	message := frame
	if m.f.media == mediaProtobuf {
		message = frame[lengthSize:]
	}
	return len(frame), m.Send(message)
}

// untilBookmark is how long the next bookmark is away: about a minute, or until shortly before the watch's end.
func untilBookmark(end time.Time) time.Duration {
	if left := time.Until(end) - lastBookmark; left > 0 {
		return min(left, bookmarkEvery)
	}
	return bookmarkEvery // beyond the end
}

// follow sends events until the client goes, the time is over, or the client has fallen behind.
func (st *stream) follow(ctx context.Context, watcher *watchcache.Watcher, bookmarks bool) {
	end, _ := ctx.Deadline() // which each watch has
	wake := make(chan struct{}, 1)
	alarm := time.AfterFunc(untilBookmark(end), func() { wake <- struct{}{} }) // a goroutine that waits would cost more
	defer alarm.Stop()
	for {
		events, err := watcher.Next(ctx, wake)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, watchcache.ErrExpired):
			st.status(apierrors.NewResourceExpired("too old resource version: the watch fell behind; list again"))
			return
		case err != nil:
			return
		case len(events) == 0:
			alarm.Reset(untilBookmark(end))
			if bookmarks && st.bookmark(watcher.Revision(), false) != nil {
				return
			}
		}
		if st.all(events) != nil {
			return
		}
		st.flush()
	}
}

// all sends events. Those that were ready together are written together: each write is a frame of HTTP/2, and goes
// through several goroutines.
func (st *stream) all(events []watchcache.Event) error {
	if len(events) == 1 || st.single {
		for i := range events {
			b, err := st.event(&events[i])
			if err == nil {
				_, err = st.w.Write(b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	buffer := answers.Get().(*[]byte)
	together := (*buffer)[:0]
	for i := range events {
		b, err := st.event(&events[i])
		if err != nil {
			return err
		}
		if together = append(together, b...); len(together) >= mostReused/2 || i == len(events)-1 {
			if _, err := st.w.Write(together); err != nil {
				return err // HTTP/2 may still be reading
			}
			together = together[:0]
		}
	}
	if cap(together) <= mostReused {
		*buffer = together
		answers.Put(buffer)
	}
	return nil
}

// errNoList ends, without a word as upstream does, the watch of a client that wants each event as a list.
var errNoList = errors.New("an event is no list")

// frameKind is all that frames of one event differ by.
type frameKind struct {
	f       format
	include metav1.IncludeObjectPolicy
	first   bool
}

// kindOfFrame gives the one pointer that stands for a kind of frames: events find their frames by it.
func (s *Served) kindOfFrame(k frameKind) *frameKind {
	if one, ok := s.frameKinds.Load(k); ok {
		return one.(*frameKind)
	}
	one, _ := s.frameKinds.LoadOrStore(k, &k)
	return one.(*frameKind)
}

// event gives the frame of one event, made once for all clients that speak alike.
func (st *stream) event(e *watchcache.Event) ([]byte, error) {
	if st.f.as == asPartialList {
		return nil, errNoList
	}
	if first := st.first && st.f.as == asTable; st.kind == nil || st.kind.first != first {
		st.kind = st.s.kindOfFrame(frameKind{format{media: st.f.media, as: st.f.as, version: st.f.version}, st.include, first})
	}
	b, err := e.Frame(st.kind, func() ([]byte, error) { return st.frame(e) })
	if err != nil {
		st.status(apierrors.NewInternalError(err))
		return nil, err
	}
	st.first = false
	return b, nil
}

// frame encodes an event.
func (st *stream) frame(e *watchcache.Event) ([]byte, error) {
	if st.f.as == "" {
		shown, ok := e.Entry, true
		if shown.Revision() != e.Revision { // a deletion carries its own revision
			shown, ok = st.s.Cached.At(shown, e.Revision)
		}
		if ok {
			return st.entry(e.Type, shown)
		}
	}
	o, err := st.s.Object(e.Entry)
	if err != nil {
		return nil, err
	}
	if e.Entry.Revision() != e.Revision {
		o = o.DeepCopyObject().(watchcache.Object)
		o.SetResourceVersion(strconv.FormatInt(e.Revision, 10))
	}
	shown, err := st.shown(o)
	if err != nil {
		return nil, err
	}
	return st.object(e.Type, shown)
}

// entry is the frame of an event whose object is the entry's own.
func (st *stream) entry(eventType string, e *watchcache.Entry) ([]byte, error) {
	f := format{media: st.f.media}
	if f.media == mediaProtobuf {
		b, err := st.s.single(nil, e, f)
		if err != nil {
			return nil, err
		}
		return frameOf(f, eventType, b)
	}
	buffer := answers.Get().(*[]byte)
	defer answers.Put(buffer)
	b, err := st.s.single(append((*buffer)[:0], jsonHead(eventType)...), e, f)
	if err != nil {
		return nil, err
	}
	b = append(b[:len(b)-1], jsonTail...) // the line ends behind the event
	if cap(b) <= mostReused {
		*buffer = b
	}
	return bytes.Clone(b), nil
}

func (st *stream) object(eventType string, o runtime.Object) ([]byte, error) {
	b, err := marshal(o, format{media: st.f.media})
	if err != nil {
		return nil, err
	}
	return frameOf(st.f, eventType, b)
}

// lengthSize is the size of the length before each event in protobuf.
const lengthSize = 4

// frameOf puts an encoded object into an event: a JSON line, or a length and a WatchEvent message.
func frameOf(f format, eventType string, object []byte) ([]byte, error) {
	if f.media == mediaProtobuf {
		event := pbField(text(nil, 1, eventType), 2, pbField(nil, 1, object))
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(event))), event...), nil
	}
	if n := len(object); n > 0 && object[n-1] == '\n' {
		object = object[:n-1]
	}
	return slices.Concat([]byte(jsonHead(eventType)), object, []byte(jsonTail)), nil
}

// jsonHead is what stands before the object of an event, and jsonTail what follows it.
func jsonHead(eventType string) string { return `{"type":"` + eventType + `","object":` }

const jsonTail = "}\n"

// bookmark tells how far the client has seen everything: an object with nothing but that, in the form of all others.
func (st *stream) bookmark(revision int64, initial bool) error {
	mark := st.s.New()
	mark.GetObjectKind().SetGroupVersionKind(st.s.Store.Kind)
	if st.f.as == asTable && st.s.Default != nil {
		st.s.Default(mark) // rows are made of whole objects
	}
	mark.SetResourceVersion(strconv.FormatInt(revision, 10))
	if initial {
		mark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	o, err := st.shown(mark)
	if err != nil {
		return err
	}
	b, err := st.object("BOOKMARK", o)
	if err == nil {
		st.first = false
		_, err = st.w.Write(b)
		st.flush()
	}
	return err
}

// shown gives an object the form that the client asked for.
func (st *stream) shown(o resource.Object) (runtime.Object, error) {
	switch st.f.as {
	case asTable:
		t := &metav1.Table{TypeMeta: tableType(st.f.version), ListMeta: metav1.ListMeta{ResourceVersion: o.GetResourceVersion()}}
		if st.first {
			t.ColumnDefinitions = st.s.columns()
		}
		row, err := st.s.rowOf(o, st.f.version, st.include)
		t.Rows = []metav1.TableRow{row}
		return t, err
	case asPartial:
		return st.s.partial(o, st.f.version), nil
	case asPartialList:
		return nil, errNoList
	}
	return st.s.fromStored(o)
}

// status ends the stream with an ERROR event.
func (st *stream) status(err error) {
	s := asStatus(err)
	if b, err := st.object("ERROR", s); err == nil {
		_, _ = st.w.Write(b)
		st.flush()
	}
}
