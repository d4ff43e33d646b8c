package plugins

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/lru"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// eventBuckets says how many buckets a limit keeps whose configuration does not say.
const eventBuckets = 4096

var eventLimitVersion = schema.GroupVersion{Group: "eventratelimit.admission.k8s.io", Version: "v1alpha1"}

// eventLimit is one limit of the configuration: to so many writes of events a second, after the first burst.
type eventLimit struct {
	Type      string `json:"type"`
	QPS       int32  `json:"qps"`
	Burst     int32  `json:"burst"`
	CacheSize int32  `json:"cacheSize,omitempty"` // of how many buckets is known how full they are; 0 stands for 4096
}

// eventRateLimit bounds how often events are written. As in kube-apiserver, those of events.k8s.io are not counted.
func eventRateLimit(cfg *Config) admission.Plugin {
	limits, err := eventLimits(cfg)
	cfg.refuse("EventRateLimit", err)
	on := admission.On(admission.Create, admission.Update)
	return admission.Plugin{On: on, Validate: func(_ context.Context, a *admission.Attributes) error {
		if a.Kind.GroupKind() != (schema.GroupKind{Kind: "Event"}) || a.DryRun {
			return nil
		}
		var full []error
		for _, l := range limits { // each counts, whatever others say
			if key, ok := l.take(a); !ok {
				full = append(full, fmt.Errorf("limit reached on type %v for key %v", l.Type, key))
			}
		}
		if len(full) > 0 {
			return apierrors.NewTooManyRequestsError(utilerrors.NewAggregate(full).Error())
		}
		return nil
	}}
}

func eventLimits(cfg *Config) ([]*eventBucketsOf, error) {
	data, err := cfg.control.of("EventRateLimit")
	if err != nil {
		return nil, err
	}
	var file struct {
		metav1.TypeMeta `json:",inline"`
		Limits          []eventLimit `json:"limits"`
	}
	if data != nil {
		if _, err := decode(data, &file, "Configuration", eventLimitVersion); err != nil {
			return nil, err
		}
	}
	if err := validateEventLimits(file.Limits).ToAggregate(); err != nil {
		return nil, err
	}
	var out []*eventBucketsOf
	for _, l := range file.Limits {
		size := cmp.Or(l.CacheSize, eventBuckets)
		if l.Type == "Server" {
			size = 1
		}
		out = append(out, &eventBucketsOf{eventLimit: l, now: cfg.Now, buckets: lru.New(int(size))})
	}
	return out, nil
}

func validateEventLimits(limits []eventLimit) field.ErrorList {
	var faults field.ErrorList
	path := field.NewPath("limits")
	if len(limits) == 0 {
		faults = append(faults, field.Invalid(path, limits, "must not be empty"))
	}
	for i, l := range limits {
		at := path.Index(i)
		if types := []string{"Namespace", "Server", "SourceAndObject", "User"}; !slices.Contains(types, l.Type) {
			faults = append(faults, field.NotSupported(at.Child("type"), l.Type, types))
		}
		if l.Burst <= 0 {
			faults = append(faults, field.Invalid(at.Child("burst"), l.Burst, "must be positive"))
		}
		if l.QPS <= 0 {
			faults = append(faults, field.Invalid(at.Child("qps"), l.QPS, "must be positive"))
		}
		if l.CacheSize < 0 && l.Type != "Server" {
			faults = append(faults, field.Invalid(at.Child("cacheSize"), l.CacheSize, "must not be negative"))
		}
	}
	return faults
}

// eventBucketsOf are a limit's: one for each namespace, user, or source and object; the least recently used are
// forgotten, and full when they are met again.
type eventBucketsOf struct {
	eventLimit
	now func() time.Time

	mu      sync.Mutex // nobody looks between another's look and its new bucket
	buckets *lru.Cache
}

// take answers whether there was something left in the bucket of the write, and the bucket's key.
func (b *eventBucketsOf) take(a *admission.Attributes) (key string, ok bool) {
	key = b.key(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, _ := b.buckets.Get(key)
	limiter, known := bucket.(*rate.Limiter)
	if !known {
		limiter = rate.NewLimiter(rate.Limit(b.QPS), int(b.Burst))
		b.buckets.Add(key, limiter)
	}
	return key, limiter.AllowN(b.now(), 1)
}

func (b *eventBucketsOf) key(a *admission.Attributes) string {
	switch b.Type {
	case "Namespace":
		return a.Namespace
	case "User":
		if a.User != nil {
			return a.User.Name
		}
	case "SourceAndObject":
		if e, ok := a.Object.(*corev1.Event); ok {
			o := e.InvolvedObject
			return e.Source.Component + e.Source.Host + o.Kind + o.Namespace + o.Name + string(o.UID) + o.APIVersion
		}
	}
	return ""
}
