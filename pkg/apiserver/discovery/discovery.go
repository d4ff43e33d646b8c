// Package discovery tells clients which groups, versions and resources are served: one aggregated document
// for each of /api and /apis, and the older documents for each group.
package discovery

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Handler answers discovery from what an endpoint serves now.
type Handler struct {
	served   func() []*endpoint.Served
	priority func(group string) int // of a group among the others, highest first
	addr     string                 // of the server, for clients that ask the oldest document

	mu   sync.Mutex
	docs *documents
}

// New describes what served gives. Call Changed when that changes.
func New(served func() []*endpoint.Served, priority func(group string) int, addr string) *Handler {
	return &Handler{served: served, priority: priority, addr: addr}
}

// Changed makes the documents anew when they are next asked for.
func (h *Handler) Changed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.docs = nil
}

type documents struct {
	core, groups aggregate
	list         metav1.APIGroupList
	byGroup      map[string]metav1.APIGroup
	byVersion    map[schema.GroupVersion]metav1.APIResourceList
	custom       map[schema.GroupVersion]bool // has custom resources
}

// aggregate is all that stands under /api or /apis.
type aggregate struct {
	list apidiscoveryv2.APIGroupDiscoveryList
	tag  string // of the list as an entity of HTTP: a hash of its JSON, whatever it is sent in
}

func (h *Handler) documents() *documents {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.docs == nil {
		h.docs = build(h.served(), h.priority)
	}
	return h.docs
}

func build(served []*endpoint.Served, priority func(string) int) *documents {
	byGroup := map[string]map[string][]*endpoint.Served{}
	for _, s := range served {
		if byGroup[s.Kind.Group] == nil {
			byGroup[s.Kind.Group] = map[string][]*endpoint.Served{}
		}
		byGroup[s.Kind.Group][s.Kind.Version] = append(byGroup[s.Kind.Group][s.Kind.Version], s)
	}
	names := make([]string, 0, len(byGroup))
	for g := range byGroup {
		names = append(names, g)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := priority(names[i]), priority(names[j])
		return a > b || a == b && names[i] < names[j]
	})
	d := &documents{byGroup: map[string]metav1.APIGroup{}, byVersion: map[schema.GroupVersion]metav1.APIResourceList{}, custom: map[schema.GroupVersion]bool{}}
	d.list = metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{}}
	for _, g := range names {
		d.group(g, byGroup[g])
	}
	for _, a := range []*aggregate{&d.core, &d.groups} {
		a.list.TypeMeta = metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2"}
		if a.list.Items == nil {
			a.list.Items = []apidiscoveryv2.APIGroupDiscovery{}
		}
		plain, _ := json.Marshal(&a.list) // plain fields
		a.tag = fmt.Sprintf(`"%X"`, sha512.Sum512(plain))
	}
	return d
}

func (d *documents) group(name string, versions map[string][]*endpoint.Served) {
	order := make([]string, 0, len(versions))
	for v := range versions {
		order = append(order, v)
	}
	sort.Slice(order, func(i, j int) bool { return version.CompareKubeAwareVersionStrings(order[i], order[j]) > 0 })
	aggregated := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: name}}
	old := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
	for _, v := range order {
		list := versions[v]
		sort.Slice(list, func(i, j int) bool { return list[i].Plural < list[j].Plural })
		gv := schema.GroupVersion{Group: name, Version: v}
		resources := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: gv.String(), APIResources: []metav1.APIResource{}}
		if name != "" { // the core group's list is older than the version of lists
			resources.APIVersion = "v1"
		}
		newer := apidiscoveryv2.APIVersionDiscovery{Version: v, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
		for _, s := range list {
			resources.APIResources = append(resources.APIResources, oldResource(s)...)
			newer.Resources = append(newer.Resources, newResource(s))
		}
		d.byVersion[gv], d.custom[gv] = resources, list[0].Described != nil
		aggregated.Versions = append(aggregated.Versions, newer)
		old.Versions = append(old.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: v})
	}
	if name == "" {
		d.core.list.Items = append(d.core.list.Items, aggregated)
		return
	}
	old.PreferredVersion = old.Versions[0]
	d.byGroup[name] = old
	inList := old
	inList.TypeMeta = metav1.TypeMeta{}
	d.list.Groups = append(d.list.Groups, inList)
	d.groups.list.Items = append(d.groups.list.Items, aggregated)
}

// storageHash tells clients that cache by it when a resource's storage changes; kube-apiserver's formula.
func storageHash(s *endpoint.Served) string {
	if s.Answer != nil || !slices.Contains(s.VerbList(), "list") || s.Observe != nil {
		return ""
	}
	k := s.Store.Kind
	if s.StoredVersion != "" {
		k.Version = s.StoredVersion
	}
	sum := sha256.Sum256([]byte(k.Group + "/" + k.Version + "/" + k.Kind))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

func names(s *endpoint.Served) (short, categories []string) {
	short, categories = s.ShortNames, s.Categories
	if s.View != nil {
		if s.View.ShortNames != nil {
			short = s.View.ShortNames
		}
		if s.View.Categories != nil {
			categories = s.View.Categories
		}
	}
	return short, categories
}

func oldResource(s *endpoint.Served) []metav1.APIResource {
	short, categories := names(s)
	out := []metav1.APIResource{{
		Name: s.Plural, SingularName: s.Singular, Namespaced: !s.ClusterScoped, Kind: s.Kind.Kind, Verbs: s.ShownVerbs(),
		ShortNames: short, Categories: categories, StorageVersionHash: storageHash(s),
	}}
	for _, sub := range sortedSubresources(s) {
		r := metav1.APIResource{Name: s.Plural + "/" + sub.Name, Namespaced: !s.ClusterScoped, Kind: sub.Kind.Kind, Verbs: sub.Verbs}
		if sub.Kind.GroupVersion() != s.Kind.GroupVersion() {
			r.Group, r.Version = sub.Kind.Group, sub.Kind.Version
		}
		out = append(out, r)
	}
	return out
}

func newResource(s *endpoint.Served) apidiscoveryv2.APIResourceDiscovery {
	short, categories := names(s)
	r := apidiscoveryv2.APIResourceDiscovery{
		Resource: s.Plural, ResponseKind: responseKind(s, s.Kind), Scope: apidiscoveryv2.ScopeNamespace, SingularResource: s.Singular,
		Verbs: s.ShownVerbs(), ShortNames: short, Categories: categories,
	}
	if s.ClusterScoped {
		r.Scope = apidiscoveryv2.ScopeCluster
	}
	for _, sub := range sortedSubresources(s) {
		r.Subresources = append(r.Subresources, apidiscoveryv2.APISubresourceDiscovery{
			Subresource: sub.Name, ResponseKind: responseKind(s, sub.Kind), Verbs: sub.Verbs,
		})
	}
	return r
}

// responseKind names the kind of answers. Built-in resources leave out the version that they stand in.
func responseKind(s *endpoint.Served, k schema.GroupVersionKind) *metav1.GroupVersionKind {
	if _, custom := s.New().(*unstructured.Unstructured); !custom && k.GroupVersion() == s.Kind.GroupVersion() {
		return &metav1.GroupVersionKind{Kind: k.Kind}
	}
	return &metav1.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

func sortedSubresources(s *endpoint.Served) []resource.Subresource[resource.Object] {
	subs := slices.Clone(s.Subresources)
	if s.Described == nil { // custom resources show status before scale
		sort.Slice(subs, func(i, j int) bool { return subs[i].Name < subs[j].Name })
	}
	for i := range subs {
		if s.View != nil && subs[i].Kind == s.Store.Kind {
			subs[i].Kind = s.Kind
		}
	}
	return subs
}

// ServeCore answers /api.
func (h *Handler) ServeCore(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(d *documents) *aggregate { return &d.core }, func(*documents) runtime.Object {
		return &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: h.addr}}}
	})
}

// ServeGroups answers /apis.
func (h *Handler) ServeGroups(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(d *documents) *aggregate { return &d.groups }, func(d *documents) runtime.Object { return &d.list })
}

// Has says whether a path is one of those that Serve answers.
func (h *Handler) Has(path string) bool {
	o, _ := h.documents().find(path)
	return o != nil
}

// Paths gives every path that is answered here.
func (h *Handler) Paths() []string {
	d := h.documents()
	var out []string
	for g := range d.byGroup {
		out = append(out, "/apis/"+g)
	}
	for gv := range d.byVersion {
		if gv.Group == "" {
			out = append(out, "/api/"+gv.Version)
			continue
		}
		out = append(out, "/apis/"+gv.String())
	}
	return out
}

// Serve answers /api/v1, /apis/GROUP and /apis/GROUP/VERSION.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) {
	o, anyMethod := h.documents().find(r.URL.Path)
	switch {
	case o == nil:
		endpoint.NotFound(w, r)
	case !anyMethod && r.Method != http.MethodGet:
		endpoint.NotAllowed(w, r)
	default:
		writeOld(w, r, o)
	}
}

// find gives the document of a path, nil where there is none. Upstream answers some whatever the method: those of groups,
// but for the one that its aggregator is in itself, and those of the versions of custom resources.
func (d *documents) find(path string) (o runtime.Object, anyMethod bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "apis":
		if g, ok := d.byGroup[parts[1]]; ok {
			return &g, g.Name != apiregistrationv1.GroupName
		}
	case len(parts) == 2 && parts[0] == "api", len(parts) == 3 && parts[0] == "apis":
		gv := schema.GroupVersion{Version: parts[len(parts)-1]}
		if len(parts) == 3 {
			gv.Group = parts[1]
		}
		if l, ok := d.byVersion[gv]; ok {
			return &l, d.custom[gv]
		}
	}
	return nil, false
}

// aggregatedParams are those of a media type that names the aggregated form.
const aggregatedParams = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// answer gives the aggregated document to those who ask for it among whatever else, with an ETag, and the old one to
// others.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, newer func(*documents) *aggregate, old func(*documents) runtime.Object) {
	w.Header().Set("Vary", "Accept")
	media, _, ok := endpoint.Accepted(r.Header.Get("Accept"), func(_ string, params map[string]string) bool {
		return params["as"] == "APIGroupDiscoveryList" && params["g"] == "apidiscovery.k8s.io" && params["v"] == "v2"
	})
	d := h.documents()
	if !ok {
		writeOld(w, r, old(d))
		return
	}
	a := newer(d)
	w.Header().Set("ETag", a.tag)
	w.Header().Set("Cache-Control", "public")
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	endpoint.WriteTyped(w, r, media, aggregatedParams, &a.list)
}

func writeOld(w http.ResponseWriter, r *http.Request, o runtime.Object) {
	endpoint.Write(w, r, http.StatusOK, o)
}
