package endpoint

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Handler serves every resource. Resources may come and go while it serves.
type Handler struct {
	Admission admission.Chain

	mu     sync.Mutex                                              // of those who change served
	served atomic.Pointer[map[schema.GroupVersionResource]*Served] // replaced as a whole: each request looks into it
}

// NewHandler serves nothing yet.
func NewHandler() *Handler {
	h := &Handler{}
	h.served.Store(&map[schema.GroupVersionResource]*Served{})
	return h
}

// change replaces what is served by what f makes of a copy.
func (h *Handler) change(f func(map[schema.GroupVersionResource]*Served)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := maps.Clone(*h.served.Load())
	f(next)
	h.served.Store(&next)
}

// Add serves a resource.
func (h *Handler) Add(s *Served) {
	h.change(func(served map[schema.GroupVersionResource]*Served) { served[s.GVR()] = s })
}

// Replace serves a resource in these versions and in no others; in none it is no longer served. It answers the versions
// in which it was.
func (h *Handler) Replace(r schema.GroupResource, versions ...*Served) (withdrawn []string) {
	h.change(func(served map[schema.GroupVersionResource]*Served) {
		for gvr := range served {
			if gvr.GroupResource() == r {
				delete(served, gvr)
				withdrawn = append(withdrawn, gvr.Version)
			}
		}
		for _, s := range versions {
			served[s.GVR()] = s
			withdrawn = slices.DeleteFunc(withdrawn, func(v string) bool { return v == s.Kind.Version })
		}
	})
	return withdrawn
}

// All gives what is served, in no order.
func (h *Handler) All() []*Served {
	return slices.Collect(maps.Values(*h.served.Load()))
}

func (h *Handler) find(info *request.Info) *Served {
	return (*h.served.Load())[info.GroupVersionResource()]
}

// Find gives the resource that a request is for, nil where it, or the subresource, is not served.
func (h *Handler) Find(info *request.Info) *Served {
	s := h.find(info)
	if s == nil || info.Subresource != "" && s.Subresource(info.Subresource) == nil {
		return nil
	}
	return s
}

// ServeHTTP answers a request for a resource; its Info stands in the context.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info := request.InfoFrom(r.Context())
	s := h.find(info)
	// A name that is but slashes is none: kube-apiserver takes it for the whole collection, and would delete that.
	if s == nil || s.ClusterScoped && info.Namespace != "" && s.Plural != "namespaces" || strings.HasSuffix(r.URL.Path, "//") {
		h.NotFound(w, r)
		return
	}
	if !s.routed(info, info.PathName != "") {
		h.NotFound(w, r)
		return
	}
	if s.Deprecated != "" && s.custom() { // before anything else is said
		request.Warn(r.Context(), s.Deprecated)
	}
	if s.Opening != nil {
		select {
		case <-s.Opening:
		case <-r.Context().Done():
		}
	}
	if s.custom() && h.refuseCustom(w, r, info, s) {
		return
	}
	if info.Subresource != "" {
		h.subresource(w, r, info, s)
		return
	}
	h.resource(w, r, info, s)
}

// resource answers a request for a collection or an object.
func (h *Handler) resource(w http.ResponseWriter, r *http.Request, info *request.Info, s *Served) {
	if !s.allows(r, info) {
		NotAllowed(w, r)
		return
	}
	if err := s.representable(r, info.Verb == "list" || info.Verb == "watch"); err != nil {
		fail(w, r, err)
		return
	}
	if s.Deprecated != "" && !s.custom() { // only where there is an answer
		request.Warn(r.Context(), s.Deprecated)
	}
	if s.Observe != nil {
		s.observe(w, r, info)
		return
	}
	switch info.Verb {
	case "get":
		s.get(w, r, info)
	case "list":
		s.list(w, r, collectionOf(info))
	case "watch":
		fromPath := ""
		if info.DeprecatedWatch {
			fromPath = info.PathName
		}
		s.watch(w, r, collectionOf(info), fromPath)
	case "create":
		s.create(w, r, info, h.Admission)
	case "update":
		s.update(w, r, info, h.Admission, nil)
	case "patch":
		s.patch(w, r, info, h.Admission, nil)
	case "delete":
		s.delete(w, r, info, h.Admission)
	case "deletecollection":
		s.deleteCollection(w, r, collectionOf(info), h.Admission)
	}
}

// allows says whether a resource takes a request's verb at its path.
func (s *Served) allows(r *http.Request, info *request.Info) bool {
	across := !s.ClusterScoped && info.Namespace == "" // where objects can only be read
	switch verb := info.Verb; {
	case s.custom():
		return true // see refuseCustom
	case !slices.Contains(allVerbs, verb), !s.can(verb), r.Method == http.MethodHead, info.DeprecatedWatch && r.Method != http.MethodGet:
		return false
	case verb == "create":
		return info.Name == "" && !across
	case verb == "deletecollection":
		return !across
	case verb == "update", verb == "patch":
		return info.Name != ""
	}
	return true
}

// collectionOf is what a request for several objects is for: it has a name where a selector gave it one.
func collectionOf(info *request.Info) *request.Info {
	collection := *info
	collection.Name = ""
	return &collection
}

// routed says whether a resource has anything at a path at all: a collection or an object (named) of a
// namespace, of all of them, or of none.
func (s *Served) routed(info *request.Info, named bool) bool {
	any := func(verbs ...string) bool { return slices.ContainsFunc(verbs, s.can) }
	across := !s.ClusterScoped && info.Namespace == ""
	switch {
	case named:
		return !across && (info.Subresource != "" || any("get", "update", "patch", "delete"))
	case across:
		return any("list", "watch")
	}
	return any("create", "list", "watch", "deletecollection")
}

func (h *Handler) subresource(w http.ResponseWriter, r *http.Request, info *request.Info, s *Served) {
	sub := s.Subresource(info.Subresource)
	if sub == nil || info.Rest != "" && sub.Connect == nil {
		h.NotFound(w, r)
		return
	}
	switch {
	case sub.Connect != nil && slices.Contains(sub.Connect.Methods, r.Method):
		s.connect(w, r, info, h.Admission, sub)
		return
	case !slices.Contains(sub.Verbs, info.Verb), r.Method == http.MethodHead && !s.custom():
		NotAllowed(w, r)
		return
	}
	if err := s.representable(r, false); err != nil {
		fail(w, r, err)
		return
	}
	switch {
	case sub.Create != nil:
		s.action(w, r, info, h.Admission, sub)
	case sub.Scale != nil:
		s.scale(w, r, info, h.Admission, sub)
	case sub.Update != nil && info.Verb == "get":
		s.get(w, r, info)
	case sub.Update != nil && info.Verb == "update":
		s.update(w, r, info, h.Admission, sub.Update)
	case sub.Update != nil && info.Verb == "patch":
		s.patch(w, r, info, h.Admission, sub.Update)
	default:
		NotAllowed(w, r)
	}
}

// NotFound answers a path that nothing serves: with a Status where the path is in a group that is served.
func (h *Handler) NotFound(w http.ResponseWriter, r *http.Request) {
	if !h.knows(r.URL.Path) {
		NotFound(w, r)
		return
	}
	fail(w, r, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{},
	}})
}

// knows says whether a path is in a group that is served.
func (h *Handler) knows(path string) bool {
	if strings.HasPrefix(path, "/api/") {
		return true
	}
	group, _, below := strings.Cut(strings.TrimPrefix(path, "/apis/"), "/")
	if !below || !strings.HasPrefix(path, "/apis/") {
		return false
	}
	return slices.ContainsFunc(h.All(), func(s *Served) bool { return s.Kind.Group == group && !s.custom() })
}

// refuseCustom answers what custom resources do not have, in their own words.
func (h *Handler) refuseCustom(w http.ResponseWriter, r *http.Request, info *request.Info, s *Served) bool {
	if !s.ClusterScoped && info.Namespace == "" && info.Verb != "list" && info.Verb != "watch" {
		NotFound(w, r) // across namespaces objects can only be read
		return true
	}
	verbs := allVerbs
	if info.Subresource != "" {
		sub := s.Subresource(info.Subresource)
		if sub == nil || info.Rest != "" {
			fail(w, r, apierrors.NewNotFound(s.GroupResource(), info.Name))
			return true
		}
		verbs = sub.Verbs
	}
	if !slices.Contains(verbs, info.Verb) {
		fail(w, r, apierrors.NewMethodNotSupported(s.GroupResource(), info.Verb))
		return true
	}
	return info.Name == "" && s.refuseNameless(w, r, info.Verb)
}

// refuseNameless answers a change of an object that has no name. The path of a collection takes it, but for that.
func (s *Served) refuseNameless(w http.ResponseWriter, r *http.Request, verb string) bool {
	if verb != "update" && verb != "patch" {
		return false
	}
	if verb == "patch" {
		if _, err := s.patchType(r); err != nil {
			fail(w, r, err)
			return true
		}
	}
	fail(w, r, apierrors.NewBadRequest("name must be provided"))
	return true
}

// NotFound answers a path that nothing serves.
func NotFound(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("404 page not found\n"))
}

// NotAllowed answers a method that a path does not take.
func NotAllowed(w http.ResponseWriter, r *http.Request) {
	fail(w, r, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Message: "the server does not allow this method on the requested resource", Details: &metav1.StatusDetails{},
	}})
}

// Fail answers with an error, for the parts of the server around this package.
func Fail(w http.ResponseWriter, r *http.Request, err error) { fail(w, r, err) }

// Write answers with an object in the encoding asked for.
func Write(w http.ResponseWriter, r *http.Request, code int, o runtime.Object) {
	if err := representable(r, false); err != nil {
		fail(w, r, err)
		return
	}
	f, err := negotiate(r, true, false)
	if err != nil {
		fail(w, r, err)
		return
	}
	write(w, r, f, code, o)
}

// WriteJSON answers with a value that has no other encoding.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(code)
	_, _ = w.Write(b)
}
