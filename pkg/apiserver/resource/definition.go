// Package resource says what an API resource is, and holds the rules of create, update, patch, apply and
// delete that are the same for all of them.
//
// A resource is one value: a Definition. It is data and pure functions; it does no I/O. What a resource
// must do beside its own key (allocate an address, sign a token, reach a kubelet) it states as a hook or a
// Subresource that is built with the access it needs.
package resource

import (
	"context"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object is what can be stored: a pointer to one of k8s.io/api's types, or *unstructured.Unstructured.
type Object interface {
	runtime.Object
	metav1.Object
}

// Definition declares a resource. Only Kind and Plural are required. Functions get objects
// that they may change only where that is said; old is nil on create.
//
// The order of a write is: decode, Default, admission (mutating), Default again where admission changed
// something, Allocate, Prepare, Validate, admission (validating), store. Allocate comes that early because
// validation and validating admission see the addresses and ports that an object was given.
type Definition[T Object] struct {
	// Names.
	Kind          schema.GroupVersionKind // the version served and stored
	Plural        string                  // "pods"
	Singular      string                  // "pod"; empty: Kind in lower case
	ShortNames    []string
	Categories    []string
	ClusterScoped bool
	New           func() T              // nil: an empty T
	NewList       func() runtime.Object // nil: the built-in kind's list
	// Internal resources are stored and reached through Access, but not served.
	Internal bool
	// Answer makes the resource a question that is answered and not stored: create is its only verb, and
	// what Answer gives is the body of the 201. obj is decoded, defaulted and has its managedFields; metadata is
	// otherwise as the client sent it, except for a namespace from the path. Neither the generic rules
	// nor Validate look at it: Answer refuses what is wrong itself, in the kind's own words.
	Answer func(ctx context.Context, obj T, opts *metav1.CreateOptions) (runtime.Object, error)
	// Opening is closed when requests for the resource may go on; nil: at once. It holds back who would see a
	// resource before what defines it says so.
	Opening <-chan struct{}
	// Ending says that the resource is on its way out: its objects are deleted, and no more are created. nil: never.
	Ending func() bool
	// Described gives the schema of a kind that has no Go type, nil where there is nothing to tell; v2 asks for
	// what OpenAPI v2 can say.
	Described func(v2 bool) (map[string]any, error)
	// Observe makes the resource one that is looked at for each request and not stored: get and list are its only
	// verbs. name is that of the one object that is asked for, or empty.
	Observe func(ctx context.Context, name string) ([]T, error)
	// Deprecated is a warning that goes with every answer of this resource.
	Deprecated string
	// Verbs in discovery's words, sorted; nil stands for all eight: create delete deletecollection get
	// list patch update watch.
	Verbs []string
	// Prefix is the path of the resource's keys under /registry/, as upstream's: "pods", "services/specs",
	// "events". Namespace and name follow. Empty stands for Plural, where objects are stored.
	Prefix string
	// Large objects are not kept decoded in memory: their kind is read seldom.
	Large bool
	// StoredVersion is the version that the protobuf in etcd names, where it is an older one of the same form.
	StoredVersion string
	// Stored is the form in etcd of a kind that is not kept there as protobuf of its own version; nil for that.
	Stored *Stored[T]
	// DefaultedLate: Prepare leaves something that Default fills in when the object is read. It is stored without,
	// as upstream stores it, and nobody sees it so.
	DefaultedLate bool
	// Views are further group versions in which the same stored objects are served.
	Views []View[T]
	// Versions are further versions of a custom kind. Unlike views they have rules of their own: an object is
	// judged in the version in which it is written.
	Versions []*Definition[T]

	// ValidateName answers what is wrong with a name; prefix says that it is a generateName. nil stands for
	// a DNS subdomain.
	ValidateName func(name string, prefix bool) []string

	// Fit makes what a client sent fit the kind before it is defaulted, where the Go type alone does not: it takes
	// away what the kind does not know and answers the paths of that. strict says whether paths are asked for.
	Fit func(obj T, strict bool) (unknown []string, err error)
	// Unconvertible answers why kube-apiserver's own form of the kind cannot hold what a client sent; nil: it always can.
	Unconvertible func(obj T) error
	// Default fills in what the client left out. It is pure, idempotent, and runs on everything that is
	// decoded, from clients and from etcd.
	Default func(obj T)
	// Prepare resets what this client may not set, as seen from the old object: status on create and
	// update, deprecated fields, generation-like counters of the kind's own. What it takes over from old it may share
	// with it, as long as nothing in that is changed.
	Prepare func(ctx context.Context, obj, old T)
	// Shares: a patch copies of the stored object what it names, and the new state shares the rest with the old one.
	// No hook of such a kind, and no rule of admission for it, writes into what a client left alone, not even
	// what stands there already: others may be reading it.
	Shares bool
	// Validate answers every fault, in upstream's order, words and paths. On update it includes what
	// must not change. metadata is validated by the generic rules.
	Validate func(ctx context.Context, obj, old T) field.ErrorList
	// MetadataLast: the kind's own faults are answered alone, and those of metadata only where there are
	// none. Without it both are answered together, metadata's first.
	MetadataLast bool
	// WholeUpdate: an update's metadata is judged once more as on create, beside what must not change.
	WholeUpdate bool
	// FreeFinalizers: finalizers need no domain in their name. Without it only Kubernetes' own may be without.
	FreeFinalizers bool
	// Warn answers what the client should be told without being refused.
	Warn func(ctx context.Context, obj, old T) []string
	// Spec gives the part whose change raises metadata.generation; nil: the kind has no generation.
	Spec func(obj T) any
	// DistinguishesEmpty: a list or map in the spec that a client gives and leaves empty is another than one that is not there,
	// though it is stored as none.
	DistinguishesEmpty bool
	// Reset are the paths that Prepare resets on the main resource, for field ownership: "status".
	Reset []string

	// Complete fills in what readers of the object expect of it and no rule demands, after it was judged and
	// before it is stored.
	Complete func(obj T)

	// CreateOnUpdate: PUT and apply create what is not there. Apply does so for every kind.
	CreateOnUpdate bool
	// StrictUpdate: an update without a resourceVersion is refused.
	StrictUpdate bool
	// Grace gives the seconds that a delete waits for, nil for a kind that is deleted at once. It may
	// change obj as the first step of a graceful deletion.
	Grace func(obj T, asked *int64) int64
	// BeforeDelete refuses or changes a deletion (namespaces become Terminating). finish=false keeps the
	// object stored as changed.
	BeforeDelete func(ctx context.Context, obj T) (finish bool, err error)
	// WarnDelete answers what the client should be told that asks for a deletion in this way.
	WarnDelete func(options *metav1.DeleteOptions) []string
	// Held says that something else than finalizers keeps an object that is on its way out.
	Held func(obj T) bool
	// TTL after which etcd forgets the object, zero for never.
	TTL func(obj T) time.Duration
	// DefaultPropagation when a delete names none; empty: Background.
	DefaultPropagation metav1.DeletionPropagation
	// ReturnDeleted: a delete answers the deleted object instead of a Status.
	ReturnDeleted bool
	// Allocate takes what the object needs outside its own key, before Prepare and Validate, and may write it
	// into obj. It answers two functions: undo is called when the write fails or is a dry run, release (may
	// be nil) when it stood.
	Allocate func(ctx context.Context, obj, old T, dryRun bool) (undo, release func(), err error)
	// Deleted gives back what Allocate took, after the object has gone.
	Deleted func(ctx context.Context, obj T)

	// HiddenAnnotations stand for what was once a field. They are left out where metadata is shown alone.
	HiddenAnnotations []string

	// Columns and Row are the Table form. Row answers one cell per column, with column.Ago for what depends on the
	// time. nil: Name and Created At.
	Columns []metav1.TableColumnDefinition
	Row     func(obj T) []any
	// SortKey orders the rows of a table, and their names those of one key; nil: by their keys.
	SortKey func(obj T) int64
	// RowConditions marks rows (Completed pods); may be nil.
	RowConditions func(obj T) []metav1.TableRowCondition

	// Fields gives the values that field selectors see beside metadata.name and metadata.namespace, and
	// FieldNames their names (a selector by another is refused). Indexed are those with an index of their own.
	Fields     func(obj T) map[string]string
	FieldNames []string
	Indexed    []string
	// FieldAliases are further names of fields, each with the one that stands among FieldNames.
	FieldAliases map[string]string
	// UnknownField words the refusal of a selector by another field, where the kind has words of its own.
	UnknownField func(label string) string

	Subresources []Subresource[T]
}

// Stored is how objects are kept in etcd. None of its functions may change what it is given.
type Stored[T Object] struct {
	Encode func(obj T) ([]byte, error)
	// Decode reads what etcd holds, with defaults. The version of what it gives may be another of the kind's.
	Decode func(value []byte) (T, error)
	// Convert gives an object another version of the kind, without what that version does not know; nil where
	// Decode gives the definition's own.
	Convert func(obj T, version string) (T, error)
	// ConvertOpen is Convert for field ownership: it leaves what the version does not know, so that ownership
	// fails where a conversion would lose something.
	ConvertOpen func(obj T, version string) (T, error)
	// KnownVersions are those that Convert can give.
	KnownVersions []string
}

// View is another group version of a kind. From must not change stored; To gives an object of the
// stored version.
type View[T Object] struct {
	Kind       schema.GroupVersionKind
	New        func() runtime.Object
	NewList    func() runtime.Object
	From       func(stored T) (runtime.Object, error)
	To         func(served runtime.Object) (T, error)
	Columns    []metav1.TableColumnDefinition // nil: the stored version's
	Row        func(obj T) []any
	FieldNames []string // nil: the stored version's
	Fields     func(obj T) map[string]string
	Verbs      []string
	ShortNames []string
	Categories []string
}

// Subresource declares what stands under an object's path. Exactly one of Update, Scale, Create, Get and
// Connect is set; only a Create may have an Update beside it, which is not served: Do writes the parent
// by it, through Access, where the rules of the main resource would refuse the change (a binding).
type Subresource[T Object] struct {
	Name  string
	Kind  schema.GroupVersionKind // of the body, as discovery names it
	Verbs []string                // in discovery's words
	// Update: the body is the parent kind, and only a part of it may change (status, ephemeralcontainers,
	// resize, finalize).
	Update *UpdatePart[T]
	// Scale maps autoscaling/v1 Scale.
	Scale *ScalePart[T]
	// Create: the body is another kind that acts on the parent (binding, eviction, token). New makes an
	// empty body; the answer is sent with 201. obj is nil where the parent need not exist.
	Create *CreateAction[T]
	// Get answers something computed from the parent.
	Get func(ctx context.Context, obj T, options runtime.Object) (runtime.Object, error)
	// Connect takes over the connection (log, exec, attach, portforward, proxy).
	Connect *ConnectAction[T]
}

// UpdatePart is an update of the parent that leaves the rest of it as it was. Prepare copies from old
// into obj all that the subresource may not change.
type UpdatePart[T Object] struct {
	Prepare  func(ctx context.Context, obj, old T)
	Validate func(ctx context.Context, obj, old T) field.ErrorList
	Warn     func(ctx context.Context, obj, old T) []string
	// Reset are the field paths that the subresource may not own ("spec"; a leading "metadata." form is
	// allowed).
	Reset []string
	// Counts: a change of the spec by this way raises metadata.generation.
	Counts bool
	// Deletes: after the write an object that waits only for this goes (namespaces/finalize).
	Deletes func(obj T) bool
}

// ScalePart reads and writes a Scale of the parent.
type ScalePart[T Object] struct {
	Replicas       func(obj T) int32
	StatusReplicas func(obj T) int32
	Selector       func(obj T) string
	SetReplicas    func(obj T, n int32)
	// Missing says why an object has no replicas to read; nil where all have. A write that gives it some stands.
	Missing func(obj T) error
	// SpecPath is the path of the replicas in the parent, for field ownership: "spec.replicas".
	SpecPath string
}

// CreateAction is a POST to a subresource.
type CreateAction[T Object] struct {
	New func() runtime.Object
	// Also are further versions in which the same body is taken.
	Also []schema.GroupVersion
	// Default and Validate treat the body.
	Default  func(body runtime.Object)
	Validate func(ctx context.Context, name string, body runtime.Object) field.ErrorList
	// Do acts. It finds the parent itself, through the access that the constructor got.
	Do func(ctx context.Context, namespace, name string, body runtime.Object, opts *metav1.CreateOptions) (runtime.Object, error)
	// Status is the HTTP code, 0 for 201.
	Status int
}

// ConnectAction hands the request over. Handler finds the object and validates the options, and answers
// what serves the connection.
type ConnectAction[T Object] struct {
	Methods []string // of HTTP
	// NewOptions is decoded from the query.
	NewOptions func() runtime.Object
	Handler    func(ctx context.Context, namespace, name, rest string, options runtime.Object) (http.Handler, error)
}

// Resource is a Definition of any object: the form that the server works with.
type Resource = Definition[Object]
