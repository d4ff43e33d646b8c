package openapi

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// patchTypes are the four forms of a patch.
var patchTypes = []string{"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"}

// describer gathers the operations of one group version.
type describer struct {
	*definitions
	gv    schema.GroupVersion
	v2    bool
	paths map[string][]*operation
}

// upper and lower are how ids and tags name a group version: RbacAuthorizationV1, rbacAuthorization_v1.
func (d *describer) upper() string { return upperGroup(d.gv.Group) + capital(d.gv.Version) }

func (d *describer) tag() string { return lowerGroup(d.gv.Group) + "_" + d.gv.Version }

func upperGroup(group string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimSuffix(group, ".k8s.io"), ".") {
		b.WriteString(capital(part))
	}
	if group == "" {
		return "Core"
	}
	return b.String()
}

func lowerGroup(group string) string {
	u := []rune(upperGroup(group))
	u[0] = unicode.ToLower(u[0])
	return string(u)
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (d *describer) base() string {
	if d.gv.Group == "" {
		return "/api/" + d.gv.Version
	}
	return "/apis/" + d.gv.String()
}

// about is what the operations of one resource share.
type about struct {
	s                  *endpoint.Served
	kind               schema.GroupVersionKind
	produces           []string // of objects of the kind
	patches            []string
	model, list        string
	namespaced         string // "Namespaced" in ids
	collection, single string // paths
	scope              []parameter
}

func (d *describer) resource(s *endpoint.Served) error {
	a := &about{s: s, kind: s.Kind, model: modelOf(s.New())}
	list := s.NewList
	if s.View != nil {
		a.model, list = modelOf(s.View.New()), s.View.NewList
	}
	if list != nil {
		a.list = modelOf(list())
	}
	if s.Described != nil {
		if err := d.custom(a); err != nil {
			return err
		}
	}
	a.collection = d.base() + "/" + s.Plural
	if !s.ClusterScoped {
		a.namespaced, a.scope = "Namespaced", []parameter{namespaceParameter}
		a.collection = d.base() + "/namespaces/{namespace}/" + s.Plural
	}
	a.single = a.collection + "/{name}"
	for _, describe := range []func(*about) error{d.ofCollection, d.ofSingle, d.watches} {
		if err := describe(a); err != nil {
			return err
		}
	}
	for i := range s.Subresources {
		if err := d.subresource(a, &s.Subresources[i]); err != nil {
			return err
		}
	}
	return nil
}

// operation adds one with what every operation has.
func (d *describer) operation(path, method string, o operation) {
	o.method, o.tag = method, d.tag()
	if o.produces == nil {
		o.produces = objectTypes
	}
	if o.consumes == nil {
		o.consumes = []string{"*/*"}
	}
	d.paths[path] = append(d.paths[path], &o)
}

func (a *about) can(verb string) bool { return slices.Contains(a.s.VerbList(), verb) }

func (d *describer) ofCollection(a *about) error {
	common := append(slices.Clone(a.scope), prettyParameter)
	lists, err := d.optionParameters(metaPrefix + "ListOptions")
	if err != nil {
		return err
	}
	kind, id := a.kind.Kind, d.upper()
	if a.can("list") {
		o := operation{id: "list" + id + a.namespaced + kind, description: "list or watch objects of kind " + kind, action: "list", kind: &a.kind,
			parameters: slices.Concat(common, lists), answers: map[string]string{"200": a.list}, produces: slices.Concat(objectTypes, watchTypes)}
		if a.produces != nil {
			o.produces = a.produces
		}
		if a.produces != nil || !a.can("watch") {
			o.description = "list objects of kind " + kind
		}
		d.operation(a.collection, "get", o)
		if !a.s.ClusterScoped {
			o.id, o.parameters = "list"+id+kind+"ForAllNamespaces", append(slices.Clone(lists), prettyParameter)
			d.operation(d.base()+"/"+a.s.Plural, "get", o)
		}
	}
	if a.can("create") {
		options, err := d.optionParameters(metaPrefix + "CreateOptions")
		if err != nil {
			return err
		}
		d.operation(a.collection, "post", operation{id: "create" + id + a.namespaced + kind, description: "create " + withArticle(kind), action: "post", kind: &a.kind,
			parameters: slices.Concat(common, options), body: a.model, answers: map[string]string{"200": a.model, "201": a.model, "202": a.model}, produces: a.produces})
	}
	if !a.can("deletecollection") {
		return nil
	}
	selects, err := d.optionParameters(metaPrefix+"ListOptions", "watch", "allowWatchBookmarks")
	if err != nil {
		return err
	}
	deletes, err := d.optionParameters(metaPrefix+"DeleteOptions", "preconditions")
	if err != nil {
		return err
	}
	d.operation(a.collection, "delete", operation{id: "delete" + id + "Collection" + a.namespaced + kind, description: "delete collection of " + kind,
		action: "deletecollection", kind: &a.kind, parameters: slices.Concat(common, selects, deletes), body: metaPrefix + "DeleteOptions", optionalBody: true,
		answers: map[string]string{"200": metaPrefix + "Status"}, produces: a.produces})
	return nil
}

// withArticle names an object of a kind; what is many by its name has no article.
func withArticle(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s") && !strings.HasSuffix(kind, "ss"):
		return kind
	case strings.ContainsRune("AEIOU", rune(kind[0])):
		return "an " + kind
	}
	return "a " + kind
}

func (d *describer) ofSingle(a *about) error {
	common := append(slices.Clone(a.scope), nameParameter(a.kind.Kind), prettyParameter)
	kind := a.kind.Kind
	if err := d.readAndWrite(a, a.single, "", a.kind, a.model, "the specified "+kind, a.s.VerbList(), common); err != nil {
		return err
	}
	if !a.can("delete") {
		return nil
	}
	options, err := d.optionParameters(metaPrefix+"DeleteOptions", "preconditions")
	if err != nil {
		return err
	}
	answer := metaPrefix + "Status"
	if a.s.ReturnDeleted && a.s.BeforeDelete == nil { // what goes in steps of its own answers as it is, untold
		answer = a.model
	}
	d.operation(a.single, "delete", operation{id: "delete" + d.upper() + a.namespaced + kind, description: "delete " + withArticle(kind), action: "delete", kind: &a.kind,
		parameters: slices.Concat(common, options), body: metaPrefix + "DeleteOptions", optionalBody: true, answers: map[string]string{"200": answer, "202": answer}, produces: a.produces})
	return nil
}

// readAndWrite describes get, update and patch of an object or of a part of it.
func (d *describer) readAndWrite(a *about, path, part string, kind schema.GroupVersionKind, model, what string, verbs []string, common []parameter) error {
	suffix := d.upper() + a.namespaced + a.kind.Kind + part
	if slices.Contains(verbs, "get") {
		d.operation(path, "get", operation{id: "read" + suffix, description: "read " + what, action: "get", kind: &kind,
			parameters: common, answers: map[string]string{"200": model}, produces: a.produces})
	}
	written := map[string]string{"200": model, "201": model}
	if slices.Contains(verbs, "update") {
		options, err := d.optionParameters(metaPrefix + "UpdateOptions")
		if err != nil {
			return err
		}
		d.operation(path, "put", operation{id: "replace" + suffix, description: "replace " + what, action: "put", kind: &kind,
			parameters: slices.Concat(common, options), body: model, answers: written, produces: a.produces})
	}
	if slices.Contains(verbs, "patch") {
		options, err := d.optionParameters(metaPrefix + "PatchOptions")
		if err != nil {
			return err
		}
		patches := patchTypes
		if a.patches != nil {
			patches = a.patches
		}
		d.operation(path, "patch", operation{id: "patch" + suffix, description: "partially update " + what, action: "patch", kind: &kind,
			parameters: slices.Concat(common, options), body: metaPrefix + "Patch", consumes: patches, answers: written, produces: a.produces})
	}
	return nil
}

// watches describes the older paths under watch/.
func (d *describer) watches(a *about) error {
	if !a.can("watch") || a.produces != nil { // custom resources have the paths, untold
		return nil
	}
	options, err := d.optionParameters(metaPrefix + "ListOptions")
	if err != nil {
		return err
	}
	options = append(options, prettyParameter)
	kind, id := a.kind.Kind, "watch"+d.upper()
	watch := func(path, id, action, text string, parameters []parameter) {
		d.operation(strings.Replace(path, d.base()+"/", d.base()+"/watch/", 1), "get", operation{id: id, description: text, action: action, kind: &a.kind,
			parameters: slices.Concat(parameters, options), answers: map[string]string{"200": metaPrefix + "WatchEvent"}, produces: slices.Concat(objectTypes, watchTypes)})
	}
	const one = "watch changes to an object of kind %K. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter."
	const many = "watch individual changes to a list of %K. deprecated: use the 'watch' parameter with a list operation instead."
	if a.can("get") {
		watch(a.single, id+a.namespaced+kind, "watch", strings.Replace(one, "%K", kind, 1), append(slices.Clone(a.scope), nameParameter(kind)))
	}
	text := strings.Replace(many, "%K", kind, 1)
	watch(a.collection, id+a.namespaced+kind+"List", "watchlist", text, a.scope)
	if !a.s.ClusterScoped {
		watch(d.base()+"/"+a.s.Plural, id+kind+"ListForAllNamespaces", "watchlist", text, nil)
	}
	return nil
}

func (d *describer) subresource(a *about, sub *resource.Subresource[resource.Object]) error {
	part, path := capital(partName(sub.Name)), a.single+"/"+sub.Name
	kind := sub.Kind
	if a.s.View != nil && kind == a.s.Store.Kind {
		kind = a.kind
	}
	common := append(slices.Clone(a.scope), nameParameter(kind.Kind), prettyParameter)
	model := a.model
	switch {
	case sub.Connect != nil && kind == a.kind: // a log is read
		options, err := d.optionParameters(modelOf(sub.Connect.NewOptions()))
		if err != nil {
			return err
		}
		options = slices.DeleteFunc(options, func(p parameter) bool { return p.name == "sinceTime" })
		d.operation(path, "get", operation{id: "read" + d.upper() + a.namespaced + a.kind.Kind + part, description: "read " + sub.Name + " of the specified " + a.kind.Kind,
			action: "get", kind: &kind, parameters: slices.Concat(common, options), answers: map[string]string{"200": ""}, produces: append([]string{"text/plain"}, objectTypes...)})
		return nil
	case sub.Connect != nil:
		return d.connect(a, sub, part, path)
	case sub.Create != nil:
		options, err := d.optionParameters(metaPrefix + "CreateOptions")
		if err != nil {
			return err
		}
		model = modelOf(sub.Create.New())
		d.operation(path, "post", operation{id: "create" + d.upper() + a.namespaced + a.kind.Kind + part, description: "create " + sub.Name + " of a " + a.kind.Kind,
			action: "post", kind: &kind, parameters: slices.Concat(common, options), body: model, answers: map[string]string{"200": model, "201": model, "202": model}})
		return nil
	case sub.Scale != nil:
		model = "io.k8s.api.autoscaling.v1.Scale"
	}
	return d.readAndWrite(a, path, part, kind, model, sub.Name+" of the specified "+a.kind.Kind, sub.Verbs, common)
}

// partName is how ids spell a subresource: what is one word in a path is one word in them.
func partName(name string) string {
	switch name {
	case "ephemeralcontainers":
		return "Ephemeralcontainers"
	case "portforward":
		return "Portforward"
	}
	return name
}

func (d *describer) connect(a *about, sub *resource.Subresource[resource.Object], part, path string) error {
	options := reflect.TypeOf(sub.Connect.NewOptions()).Elem()
	model, _ := nameOf(options)
	parameters, err := d.optionParameters(model)
	if err != nil {
		return err
	}
	kind := a.kind.GroupVersion().WithKind(options.Name())
	parameters = slices.Concat(parameters, a.scope, []parameter{nameParameter(kind.Kind)})
	add := func(path, suffix string, parameters []parameter) {
		for _, m := range sub.Connect.Methods {
			d.operation(path, strings.ToLower(m), operation{
				id:          "connect" + d.upper() + capital(strings.ToLower(m)) + a.namespaced + a.kind.Kind + part + suffix,
				description: "connect " + m + " requests to " + sub.Name + " of " + a.kind.Kind, action: "connect", kind: &kind,
				parameters: parameters, answers: map[string]string{"200": ""}, produces: []string{"*/*"}})
		}
	}
	add(path, "", parameters)
	if sub.Name == "proxy" {
		add(path+"/{path}", "WithPath", append(slices.Clone(parameters), parameter{"path", "path", "path to the resource", "string"}))
	}
	return nil
}

// resources describes the discovery document of the group version.
func (d *describer) resources() {
	d.operation(d.base()+"/", "get", operation{id: "get" + d.upper() + "APIResources", description: "get available resources",
		consumes: objectTypes, answers: map[string]string{"200": metaPrefix + "APIResourceList"}})
}
