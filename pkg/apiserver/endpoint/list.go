package endpoint

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	internalvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// freshWait is how long a read waits for a revision that the cache has not reached.
const freshWait = 3 * time.Second

// listOptions reads and checks the query of a list or a watch.
func (s *Served) listOptions(r *http.Request, info *request.Info) (*internalversion.ListOptions, error) {
	opts := &internalversion.ListOptions{}
	if err := internalscheme.ParameterCodec.DecodeParameters(queryOf(r), metav1.SchemeGroupVersion, opts); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if info.Verb == "watch" {
		opts.Watch = true
	}
	internalversion.SetListOptionsDefaults(opts, true)
	if errs := internalvalidation.ValidateListOptions(opts, true); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", errs)
	}
	return opts, nil
}

// selection says which objects a list or a watch wants.
func (s *Served) selection(opts *internalversion.ListOptions, info *request.Info, fromPath string) (watchcache.Selection, error) {
	w := watchcache.Selection{Prefix: s.KeyPrefix(info.Namespace), Labels: opts.LabelSelector, Fields: opts.FieldSelector}
	if w.Prefix == s.KeyPrefix("") {
		w.Prefix = ""
	}
	if fromPath != "" { // /api/v1/watch/.../name
		name := fields.OneTermEqualSelector("metadata.name", fromPath)
		if w.Fields == nil || w.Fields.Empty() {
			w.Fields = name
		} else if n, ok := w.Fields.RequiresExactMatch("metadata.name"); !ok || n != fromPath {
			return w, apierrors.NewBadRequest("fieldSelector metadata.name doesn't match requested name")
		}
	}
	if w.Fields == nil || w.Fields.Empty() {
		return w, nil
	}
	w.Fields = s.named(w.Fields)
	if err := s.checkFields(w.Fields); err != nil {
		return w, err
	}
	if s.Converts() && len(s.FieldNames) > 0 {
		w.Values = s.FieldsOf
	}
	namespace := info.Namespace
	if n, ok := w.Fields.RequiresExactMatch("metadata.namespace"); ok && namespace == "" && !s.ClusterScoped {
		namespace = n
		w.Prefix = s.KeyPrefix(n)
	}
	if n, ok := w.Fields.RequiresExactMatch("metadata.name"); ok && (namespace != "" || s.ClusterScoped) {
		if key, err := s.Key(namespace, n); err == nil {
			w.Prefix, w.Exact = key, true
			return w, nil
		}
	}
	for _, f := range s.Indexed {
		if value, ok := w.Fields.RequiresExactMatch(f); ok {
			w.IndexField, w.IndexValue = f, value
			break
		}
	}
	return w, nil
}

// named calls fields of a selector by the names that the kind has for them.
func (s *Served) named(sel fields.Selector) fields.Selector {
	if len(s.FieldAliases) == 0 {
		return sel
	}
	out, err := sel.Transform(func(name, value string) (string, string, error) {
		if now, is := s.FieldAliases[name]; is {
			name = now
		}
		return name, value, nil
	})
	if err != nil { // which the function never gives
		return sel
	}
	return out
}

// checkFields refuses selectors by fields that the kind does not select by.
func (s *Served) checkFields(sel fields.Selector) error {
	names := s.FieldNames
	if s.View != nil && s.View.FieldNames != nil {
		names = s.View.FieldNames
	}
	// Built-in kinds without fields of their own share one rule, which asks nobody whether they are in namespaces.
	known := map[string]bool{"metadata.name": true, "metadata.namespace": !s.ClusterScoped || !s.custom() && len(names) == 0}
	for _, n := range names {
		known[n] = true
	}
	for _, r := range sel.Requirements() {
		if known[r.Field] {
			continue
		}
		if s.UnknownField != nil {
			return apierrors.NewBadRequest(s.UnknownField(r.Field))
		}
		if len(names) == 0 && !s.custom() {
			return apierrors.NewBadRequest(fmt.Sprintf("%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", r.Field))
		}
		return apierrors.NewBadRequest("field label not supported: " + r.Field)
	}
	return nil
}

// token is where a list goes on.
type token struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	Start    string `json:"start"`
}

const tokenVersion = "meta.k8s.io/v1"

func encodeToken(t token) string {
	t.Version = tokenVersion
	b, _ := json.Marshal(t) // plain fields
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeToken(s string) (t token, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return t, fmt.Errorf("continue key is not valid: %w", err)
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("continue key is not valid: %s", strings.ReplaceAll(err.Error(), "field token.", "field continueToken."))
	}
	switch {
	case t.Version != tokenVersion:
		return t, fmt.Errorf("continue key is not valid: server does not recognize this encoded version %s", t.Version)
	case t.Revision == 0:
		return t, fmt.Errorf("continue key is not valid: incorrect encoded start resourceVersion (version %s)", tokenVersion)
	case t.Start == "":
		return t, fmt.Errorf("continue key is not valid: encoded start key empty (version %s)", tokenVersion)
	}
	// A token goes on below the list's own prefix, whatever its sender wrote into it.
	t.Start = strings.TrimPrefix(t.Start, "/")
	if path.Clean("/"+t.Start) != "/"+t.Start {
		return t, fmt.Errorf("continue key is not valid: %s", t.Start)
	}
	return t, nil
}

// moment finds the snapshot that a list asks for, the revision that its answer names, and where below the
// prefix of its keys it begins.
func (s *Served) moment(ctx context.Context, opts *internalversion.ListOptions, prefix string) (n *watchcache.Snapshot, revision int64, from string, err error) {
	if opts.Continue != "" {
		t, err := decodeToken(opts.Continue)
		if err != nil {
			return nil, 0, "", apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
		}
		if v := opts.ResourceVersion; v != "" && v != "0" {
			return nil, 0, "", apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		from = prefix + t.Start
		if t.Revision < 0 { // an inconsistent continuation: from now
			n, revision, err = s.fresh(ctx)
			return n, revision, from, err
		}
		n, err = s.at(ctx, t.Revision)
		if errors.Is(err, watchcache.ErrExpired) {
			return nil, 0, "", expiredContinue(t)
		}
		return n, t.Revision, from, err
	}
	match := opts.ResourceVersionMatch
	switch version := opts.ResourceVersion; {
	case version == "" && match == "":
		n, revision, err = s.fresh(ctx)
		return n, revision, "", err
	case version == "" || version == "0":
		n, revision = s.Cached.Now()
		return n, revision, "", nil
	default:
		want, err := parseVersion(version)
		if err != nil {
			return nil, 0, "", apierrors.NewBadRequest("invalid resource version: " + err.Error())
		}
		if match == metav1.ResourceVersionMatchExact || match == "" && opts.Limit > 0 {
			n, err = s.at(ctx, want)
			if errors.Is(err, watchcache.ErrExpired) {
				return nil, 0, "", apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
			}
			return n, want, "", err
		}
		if err := s.reach(ctx, want); err != nil {
			return nil, 0, "", err
		}
		n, revision = s.Cached.Now()
		return n, revision, "", nil
	}
}

// fresh is the present, no older than etcd's at the time of the call.
func (s *Served) fresh(ctx context.Context) (*watchcache.Snapshot, int64, error) {
	revision, err := s.Cache.Present(ctx)
	if err != nil {
		return nil, 0, err
	}
	if !s.caughtUp(ctx, revision) {
		n, err := s.Cached.Stored(ctx, revision)
		return n, revision, err
	}
	n, revision := s.Cached.Now()
	return n, revision, nil
}

// at is the collection at a revision, of which the cache need not have heard: the pages that follow one that came from
// etcd come from there too.
func (s *Served) at(ctx context.Context, revision int64) (*watchcache.Snapshot, error) {
	if s.caughtUp(ctx, revision) {
		return s.Cached.SnapshotAt(ctx, revision)
	}
	n, err := s.Cached.Stored(ctx, revision)
	if errors.Is(err, storage.ErrFuture) {
		return nil, s.tooLarge(revision)
	}
	return n, err
}

// caughtUp waits a moment for the log to reach a revision. Where etcd has that, but its events are late, it is asked
// itself, as kube-apiserver does.
func (s *Served) caughtUp(ctx context.Context, revision int64) bool {
	if s.Cache.Revision() >= revision {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	return s.Cache.WaitFor(ctx, revision) == nil
}

// expiredContinue is the 410 to a token that is too old; it carries one with which a client that does not
// mind a gap between pages may go on.
func expiredContinue(t token) error {
	err := apierrors.NewResourceExpired("The provided continue parameter is too old " +
		"to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to " +
		"retrieve the remainder of the results. Continuing with the provided " +
		"token results in an inconsistent list - objects that were created, " +
		"modified, or deleted between the time the first chunk was returned " +
		"and now may show up in the list.")
	err.ErrStatus.ListMeta.Continue = encodeToken(token{Revision: -1, Start: t.Start})
	return err
}

func parseVersion(s string) (int64, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion: Invalid value: %q: %w", s, err)
	}
	return int64(min(v, math.MaxInt64)), nil // which nobody will reach
}

// reach waits a moment for a revision that the client has seen elsewhere.
func (s *Served) reach(ctx context.Context, revision int64) error {
	if s.caughtUp(ctx, revision) {
		return nil
	}
	return s.tooLarge(revision)
}

// tooLarge is the answer to a revision that is not there yet.
func (s *Served) tooLarge(revision int64) error {
	current := s.Cache.Revision()
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", revision, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// page is what a list answers.
type page struct {
	entries []*watchcache.Entry
	meta    metav1.ListMeta
}

// collect gathers the selected entries of a moment, at most as many as asked for.
func (s *Served) collect(ctx context.Context, opts *internalversion.ListOptions, namespace string, w watchcache.Selection) (*page, error) {
	prefix, limit := s.KeyPrefix(namespace), opts.Limit
	if opts.ResourceVersion == "0" {
		limit = 0 // whatever is at hand comes whole
	}
	n, revision, from, err := s.moment(ctx, opts, prefix)
	if err != nil {
		return nil, err
	}
	p := &page{meta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(revision, 10)}}
	n.Select(w, from, func(e *watchcache.Entry) bool {
		p.entries = append(p.entries, e)
		return limit <= 0 || int64(len(p.entries)) < limit
	})
	if limit > 0 && int64(len(p.entries)) == limit {
		p.goOn(n, w, revision, prefix)
	}
	return p, nil
}

// goOn says where a full page's list goes on, unless it ends there. Upstream does not look whether anything that follows
// is selected: the last page of a selector may be empty.
func (p *page) goOn(n *watchcache.Snapshot, w watchcache.Selection, revision int64, prefix string) {
	last := p.entries[len(p.entries)-1].Key()
	if !n.Follows(w, last) {
		return
	}
	p.meta.Continue = encodeToken(token{Revision: revision, Start: strings.TrimPrefix(last, prefix) + "\x00"})
	if (w.Labels == nil || w.Labels.Empty()) && (w.Fields == nil || w.Fields.Empty()) {
		left := int64(n.Len(w.Prefix, last+"\x00"))
		p.meta.RemainingItemCount = &left
	}
}

// list answers a GET of a collection.
func (s *Served) list(w http.ResponseWriter, r *http.Request, info *request.Info) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := s.listOptions(r, info)
	if err != nil {
		fail(w, r, err)
		return
	}
	sel, err := s.selection(opts, info, "")
	if err != nil {
		fail(w, r, err)
		return
	}
	p, err := s.collect(r.Context(), opts, info.Namespace, sel)
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerList(w, r, f, p)
}

// answerList writes a list in the form asked for.
func (s *Served) answerList(w http.ResponseWriter, r *http.Request, f format, p *page) {
	switch f.as {
	case asTable:
		s.writeTable(w, r, f, p)
	case asPartial:
		fail(w, r, refusedForm(fmt.Sprintf("you requested PartialObjectMetadata, but the requested object is a list (%s)", s.typeName("List"))))
	default:
		s.writeList(w, r, f, p)
	}
}

func (s *Served) listKind() schema.GroupVersionKind {
	if s.custom() {
		return s.NewList().GetObjectKind().GroupVersionKind()
	}
	return s.Kind.GroupVersion().WithKind(s.Kind.Kind + "List")
}

// get answers a GET of one object.
func (s *Served) get(w http.ResponseWriter, r *http.Request, info *request.Info) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	query := queryOf(r)
	if truth(query["export"]) {
		fail(w, r, apierrors.NewBadRequest("the export parameter, deprecated since v1.14, is no longer supported"))
		return
	}
	e, live, err := s.find(r.Context(), info, query.Get("resourceVersion"))
	if err != nil {
		fail(w, r, err)
		return
	}
	if e != nil && f.as == "" {
		s.answerEntry(w, r, f, http.StatusOK, e)
		return
	}
	if e != nil {
		if live, err = s.Object(e); err != nil {
			fail(w, r, err)
			return
		}
	}
	s.answer(w, r, f, http.StatusOK, live)
}

// find looks an object up: in the cache where the client allows that, or where the cache holds what etcd
// holds, and else in etcd. One of the two answers is set.
func (s *Served) find(ctx context.Context, info *request.Info, version string) (*watchcache.Entry, resource.Object, error) {
	key, err := s.Key(info.Namespace, info.Name)
	if err != nil {
		return nil, nil, err
	}
	if version != "" {
		want, err := parseVersion(version)
		if err != nil {
			return nil, nil, err
		}
		if err := s.reach(ctx, want); err != nil {
			return nil, nil, err
		}
	} else if present, err := s.Cache.Present(ctx); err != nil {
		return nil, nil, apierrors.NewInternalError(err)
	} else if !s.caughtUp(ctx, present) {
		live, err := s.GetLive(ctx, info.Namespace, info.Name)
		return nil, live, err
	}
	e, ok := s.Cached.Get(key)
	if !ok {
		return nil, nil, apierrors.NewNotFound(s.GVR().GroupResource(), info.Name)
	}
	return e, nil, nil
}

// answerWritten writes the result of a write. Who watches gets the same bytes, so they are made once.
func (s *Served) answerWritten(w http.ResponseWriter, r *http.Request, f format, code int, o resource.Object, stored *watchcache.Entry) {
	if stored == nil || f.as != "" {
		s.answer(w, r, f, code, o)
		return
	}
	s.answerEntry(w, r, f, code, stored)
}

// answerEntry writes an entry in its own form.
func (s *Served) answerEntry(w http.ResponseWriter, r *http.Request, f format, code int, e *watchcache.Entry) {
	buffer := answers.Get().(*[]byte)
	b, err := s.single((*buffer)[:0], e, f)
	if err != nil {
		fail(w, r, err)
		return
	}
	// Where writing fails HTTP/2 may still be reading.
	if writeBytes(w, r, f, code, b) == nil && cap(b) <= mostReused {
		*buffer = b
		answers.Put(buffer)
	}
}

// mostReused is the size up to which the buffers of answers are kept for other answers.
const mostReused = 64 << 10

// answers are buffers in which answers are put together.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// answer writes an object that is no entry of the cache in the form asked for.
func (s *Served) answer(w http.ResponseWriter, r *http.Request, f format, code int, o resource.Object) {
	switch f.as {
	case asPartialList:
		fail(w, r, refusedForm(fmt.Sprintf("you requested PartialObjectMetadataList, but the requested object is not a list (%s)", s.typeName(""))))
		return
	case asPartial:
		write(w, r, f, code, s.partial(o, f.version))
		return
	case asTable:
		include, err := includeOf(r)
		if err == nil {
			var t *metav1.Table
			if t, err = s.table([]resource.Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()}, f.version, include); err == nil {
				write(w, r, f, code, t)
				return
			}
		}
		fail(w, r, err)
		return
	}
	served, err := s.fromStored(o)
	if err != nil {
		fail(w, r, err)
		return
	}
	s.name(served)
	write(w, r, f, code, served)
}
