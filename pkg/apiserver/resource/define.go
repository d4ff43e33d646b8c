package resource

import (
	"cmp"
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
)

// Define gives the form of a definition that the server works with. Hooks that are nil stay nil, so that
// the server can tell what a kind does not do. Objects of another type than T are a fault of the server.
func Define[T interface {
	Object
	*E
}, E any](d Definition[T]) *Resource {
	name(&d)
	r := &Resource{
		Kind: d.Kind, Plural: d.Plural, Singular: d.Singular, ShortNames: d.ShortNames, Categories: d.Categories,
		ClusterScoped: d.ClusterScoped, NewList: d.NewList, Internal: d.Internal, Deprecated: d.Deprecated,
		Verbs: d.Verbs, Prefix: d.Prefix, ValidateName: d.ValidateName, MetadataLast: d.MetadataLast,
		StoredVersion: d.StoredVersion, WholeUpdate: d.WholeUpdate, Shares: d.Shares, FreeFinalizers: d.FreeFinalizers, Reset: d.Reset,
		CreateOnUpdate: d.CreateOnUpdate, StrictUpdate: d.StrictUpdate, DefaultPropagation: d.DefaultPropagation,
		ReturnDeleted: d.ReturnDeleted, Columns: d.Columns, FieldNames: d.FieldNames, Indexed: d.Indexed,
		Large: d.Large, Opening: d.Opening, Ending: d.Ending, Described: d.Described, WarnDelete: d.WarnDelete, DefaultedLate: d.DefaultedLate,
		UnknownField: d.UnknownField, HiddenAnnotations: d.HiddenAnnotations, DistinguishesEmpty: d.DistinguishesEmpty, FieldAliases: d.FieldAliases,
	}
	r.New = func() Object { return T(new(E)) }
	if d.New != nil {
		r.New = func() Object { return d.New() }
	}
	defineAnswers(r, &d)
	if d.Default != nil {
		r.Default = func(obj Object) { d.Default(typed[T](obj)) }
	}
	r.Prepare = onBoth(d.Prepare)
	r.Validate = judgeBoth(d.Validate)
	r.Warn = judgeBoth(d.Warn)
	r.Unconvertible = ask(d.Unconvertible)
	r.Spec = ask(d.Spec)
	r.TTL = ask(d.TTL)
	r.Held = ask(d.Held)
	r.SortKey = ask(d.SortKey)
	r.RowConditions = ask(d.RowConditions)
	r.Fields = ask(d.Fields)
	if d.Complete != nil {
		r.Complete = func(obj Object) { d.Complete(typed[T](obj)) }
	}
	r.Row = rowOf(d.Row)
	defineLife(r, &d)
	r.Stored = storedOf(d.Stored)
	for _, v := range d.Views {
		r.Views = append(r.Views, viewOf(v))
	}
	for _, v := range d.Versions {
		r.Versions = append(r.Versions, Define(*v))
	}
	for _, s := range d.Subresources {
		r.Subresources = append(r.Subresources, subresourceOf(s))
	}
	return r
}

// defineAnswers takes over what resources do beside being stored: to answer by themselves, to be read from elsewhere
// and to have objects fitted to their kind.
func defineAnswers[T Object](r *Resource, d *Definition[T]) {
	if d.Answer != nil {
		r.Answer = func(ctx context.Context, obj Object, opts *metav1.CreateOptions) (runtime.Object, error) {
			return d.Answer(ctx, typed[T](obj), opts)
		}
	}
	if d.Fit != nil {
		r.Fit = func(obj Object, strict bool) ([]string, error) { return d.Fit(typed[T](obj), strict) }
	}
	if d.Observe != nil {
		r.Observe = func(ctx context.Context, name string) ([]Object, error) {
			list, err := d.Observe(ctx, name)
			out := make([]Object, len(list))
			for i, o := range list {
				out[i] = o
			}
			return out, err
		}
	}
}

// name derives the names that a definition leaves out.
func name[T Object](d *Definition[T]) {
	d.Singular = cmp.Or(d.Singular, strings.ToLower(d.Kind.Kind))
	if d.Answer == nil && d.Observe == nil {
		d.Prefix = cmp.Or(d.Prefix, d.Plural)
	}
	list := d.Kind.GroupVersion().WithKind(d.Kind.Kind + "List")
	if d.NewList == nil && kinds.Scheme().Recognizes(list) {
		d.NewList = func() runtime.Object {
			l, _ := kinds.Scheme().New(list) // fails for kinds that are not recognized
			return l
		}
	}
}

// typed answers T's zero for no object.
func typed[T Object](obj Object) T {
	if obj == nil {
		var none T
		return none
	}
	return obj.(T)
}

func onBoth[T Object](f func(ctx context.Context, obj, old T)) func(context.Context, Object, Object) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old Object) { f(ctx, typed[T](obj), typed[T](old)) }
}

func judgeBoth[T Object, R field.ErrorList | []string](f func(ctx context.Context, obj, old T) R) func(context.Context, Object, Object) R {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old Object) R { return f(ctx, typed[T](obj), typed[T](old)) }
}

func ask[T Object, R any](f func(obj T) R) func(Object) R {
	if f == nil {
		return nil
	}
	return func(obj Object) R { return f(typed[T](obj)) }
}

func rowOf[T Object](f func(obj T) []any) func(Object) []any {
	if f == nil {
		return nil
	}
	return func(obj Object) []any { return f(typed[T](obj)) }
}

// defineLife carries over what happens around storing and deleting.
func defineLife[T Object](r *Resource, d *Definition[T]) {
	if d.Grace != nil {
		r.Grace = func(obj Object, asked *int64) int64 { return d.Grace(typed[T](obj), asked) }
	}
	if d.BeforeDelete != nil {
		r.BeforeDelete = func(ctx context.Context, obj Object) (bool, error) { return d.BeforeDelete(ctx, typed[T](obj)) }
	}
	if d.Allocate != nil {
		r.Allocate = func(ctx context.Context, obj, old Object, dryRun bool) (undo, release func(), err error) {
			return d.Allocate(ctx, typed[T](obj), typed[T](old), dryRun)
		}
	}
	if d.Deleted != nil {
		r.Deleted = func(ctx context.Context, obj Object) { d.Deleted(ctx, typed[T](obj)) }
	}
}

func storedOf[T Object](s *Stored[T]) *Stored[Object] {
	if s == nil {
		return nil
	}
	out := &Stored[Object]{
		Encode: func(obj Object) ([]byte, error) { return s.Encode(typed[T](obj)) },
		Decode: func(value []byte) (Object, error) { return s.Decode(value) },
	}
	if s.Convert != nil {
		out.KnownVersions = s.KnownVersions
		out.ConvertOpen = func(obj Object, version string) (Object, error) { return s.ConvertOpen(typed[T](obj), version) }
		out.Convert = func(obj Object, version string) (Object, error) { return s.Convert(typed[T](obj), version) }
	}
	return out
}

func viewOf[T Object](v View[T]) View[Object] {
	view := View[Object]{
		Kind: v.Kind, New: v.New, NewList: v.NewList, Columns: v.Columns, Row: rowOf(v.Row), FieldNames: v.FieldNames,
		Fields: ask(v.Fields), Verbs: v.Verbs, ShortNames: v.ShortNames, Categories: v.Categories,
	}
	if v.From != nil {
		view.From = func(stored Object) (runtime.Object, error) { return v.From(typed[T](stored)) }
	}
	if v.To != nil {
		view.To = func(served runtime.Object) (Object, error) { return v.To(served) }
	}
	return view
}

func subresourceOf[T Object](s Subresource[T]) Subresource[Object] {
	sub := Subresource[Object]{Name: s.Name, Kind: s.Kind, Verbs: s.Verbs}
	if u := s.Update; u != nil {
		sub.Update = &UpdatePart[Object]{Prepare: onBoth(u.Prepare), Validate: judgeBoth(u.Validate), Warn: judgeBoth(u.Warn),
			Reset: u.Reset, Counts: u.Counts, Deletes: ask(u.Deletes)}
	}
	if p := s.Scale; p != nil {
		sub.Scale = &ScalePart[Object]{Replicas: ask(p.Replicas), StatusReplicas: ask(p.StatusReplicas), Selector: ask(p.Selector), SpecPath: p.SpecPath}
		if p.SetReplicas != nil {
			sub.Scale.SetReplicas = func(obj Object, n int32) { p.SetReplicas(typed[T](obj), n) }
		}
		sub.Scale.Missing = ask(p.Missing)
	}
	if c := s.Create; c != nil {
		sub.Create = &CreateAction[Object]{New: c.New, Also: c.Also, Default: c.Default, Validate: c.Validate, Do: c.Do, Status: c.Status}
	}
	if s.Get != nil {
		sub.Get = func(ctx context.Context, obj Object, options runtime.Object) (runtime.Object, error) {
			return s.Get(ctx, typed[T](obj), options)
		}
	}
	if c := s.Connect; c != nil {
		sub.Connect = &ConnectAction[Object]{Methods: c.Methods, NewOptions: c.NewOptions, Handler: c.Handler}
	}
	return sub
}
