package endpoint

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Times of watches, as kube-apiserver's: one that names no end gets a random one between minWatch and twice
// that, so that clients do not all come again at once; bookmarks come about once a minute, and once more
// before the end where that is further away.
const (
	minWatch      = 30 * time.Minute
	bookmarkEvery = time.Minute
	// lastWords is how long the client of a watch that is over may take to read its end.
	lastWords = 10 * time.Second
	// longestWatch keeps what clients ask for within what a time can say.
	longestWatch = math.MaxInt64 * time.Nanosecond
	lastBookmark = 2 * time.Second
)

// watchRequest is what a client asks to watch, and how it wants to see it.
type watchRequest struct {
	f       format
	include metav1.IncludeObjectPolicy
	opts    *internalversion.ListOptions
	sel     watchcache.Selection
	version int64 // 0 where none was named
}

func (s *Served) watchRequest(r *http.Request, info *request.Info, fromPath string) (q watchRequest, err error) {
	if q.f, err = negotiate(r, s.protobuf(), true); err != nil {
		return q, err
	}
	if q.f.media == mediaYAML { // which has no stream
		return q, NotAcceptable(mediaJSON+asStream, mediaProtobuf+asStream)
	}
	if q.opts, err = s.listOptions(r, info); err != nil {
		return q, err
	}
	if q.sel, err = s.selection(q.opts, info, fromPath); err != nil {
		return q, err
	}
	q.include = metav1.IncludeMetadata
	if q.f.as == asTable {
		if q.include, err = includeOf(r); err != nil {
			return q, err
		}
	}
	if v := q.opts.ResourceVersion; v != "" {
		q.version, err = parseVersion(v)
	}
	return q, err
}

// watch answers a stream of events.
func (s *Served) watch(w http.ResponseWriter, r *http.Request, info *request.Info, fromPath string) {
	q, err := s.watchRequest(r, info, fromPath)
	if err != nil {
		fail(w, r, err)
		return
	}
	st := &stream{s: s, f: q.f, include: q.include, first: true}
	initial, watcher, err := s.open(r.Context(), q)
	if err != nil { // the client asked for what there may be: what is wrong now is an event
		if errors.Is(err, watchcache.ErrExpired) {
			err = apierrors.NewResourceExpired("too old resource version: " + versionsOf(err))
		}
		if _, end, failed := st.begin(w, r); failed == nil {
			st.status(err)
			end()
		}
		return
	}
	defer watcher.Close()
	ctx, cancel := context.WithTimeout(r.Context(), duration(q.opts))
	defer cancel()
	defer Release(ctx, w, lastWords)()
	gone, end, err := st.begin(w, r)
	if err != nil {
		return // the client knows
	}
	defer end()
	if gone != nil {
		go func() {
			select {
			case <-gone:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	if st.state(initial, watcher.Revision(), q.opts) != nil {
		return
	}
	if saysListed(q.opts) && info.Listed != nil {
		info.Listed()
	}
	st.follow(ctx, watcher, q.opts.AllowWatchBookmarks)
}

func duration(opts *internalversion.ListOptions) time.Duration {
	if opts.TimeoutSeconds != nil && *opts.TimeoutSeconds != 0 { // one that is negative is over at once
		return time.Duration(max(-1, min(*opts.TimeoutSeconds, int64(longestWatch/time.Second)))) * time.Second
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

// open finds where a watch begins: at a version, or at the present state, which is then sent first.
func (s *Served) open(ctx context.Context, q watchRequest) ([]*watchcache.Entry, *watchcache.Watcher, error) {
	version, state := q.version, q.version == 0
	if q.opts.SendInitialEvents != nil {
		state = *q.opts.SendInitialEvents
	}
	var err error
	switch fresh := q.opts.ResourceVersion == "" || version == 0 && !state; { // state of no version, or from now
	case fresh:
		if version, err = s.Cache.Fresh(ctx); err != nil {
			err = apierrors.NewInternalError(err)
		}
	case state:
		err = s.reach(ctx, version)
	}
	if err != nil {
		return nil, nil, err
	}
	if !state {
		w, err := s.Cached.Watch(version, q.sel)
		return nil, w, err
	}
	n, w, err := s.Cached.WatchFromNow(q.sel)
	if err != nil {
		return nil, nil, err
	}
	var entries []*watchcache.Entry
	n.Select(q.sel, "", func(e *watchcache.Entry) bool {
		entries = append(entries, e)
		return true
	})
	return entries, w, nil
}
