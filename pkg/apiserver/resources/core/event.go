package core

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// Event declares events of the core group, and their view in events.k8s.io. They are forgotten after ttl.
func Event(ttl time.Duration) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Event]{
		Kind:           corev1.SchemeGroupVersion.WithKind("Event"),
		Plural:         "events",
		ShortNames:     []string{"ev"},
		NewList:        func() runtime.Object { return &corev1.EventList{} },
		CreateOnUpdate: true,
		MetadataLast:   true,
		// What old recorders name their events is not judged further; the new group does so by itself.
		ValidateName: func(name string, _ bool) []string { return path.IsValidPathSegmentName(name) },
		Validate:     validateEvent,
		TTL:          func(*corev1.Event) time.Duration { return ttl },
		Columns:      eventColumns(),
		Row:          eventRow,
		FieldNames:   slices.Sorted(maps.Keys(eventFields(&corev1.Event{}))),
		Fields:       eventFieldsOfAll,
		Views:        []resource.View[*corev1.Event]{eventView()},

		DefaultPropagation: resource.NoPropagation,
	})
}

func eventFields(e *corev1.Event) map[string]string {
	source := cmp.Or(e.Source.Component, e.ReportingController)
	fields := map[string]string{"reason": e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type}
	referenceFields(fields, "involvedObject.", &e.InvolvedObject)
	return fields
}

// eventFieldsOfAll are the fields under the names of both groups: selectors are matched against what is stored.
func eventFieldsOfAll(e *corev1.Event) map[string]string {
	fields := eventFields(e)
	maps.Copy(fields, eventViewFields(e))
	return fields
}

func referenceFields(fields map[string]string, prefix string, o *corev1.ObjectReference) {
	fields[prefix+"kind"] = o.Kind
	fields[prefix+"namespace"] = o.Namespace
	fields[prefix+"name"] = o.Name
	fields[prefix+"uid"] = string(o.UID)
	fields[prefix+"apiVersion"] = o.APIVersion
	fields[prefix+"resourceVersion"] = o.ResourceVersion
	fields[prefix+"fieldPath"] = o.FieldPath
}

// validateEvent is lenient to the core group, whose clients have always written as they liked, and strict
// to the newer one.
func validateEvent(ctx context.Context, obj, old *corev1.Event) field.ErrorList {
	info := request.InfoFrom(ctx)
	strict := info != nil && info.Group == eventsv1.GroupName
	faults := validateAnyEvent(obj, strict)
	switch {
	case !strict:
		return faults
	case old == nil:
		return append(faults, validateNewEvent(obj)...)
	}
	return append(faults, validateEventUpdate(obj, old)...)
}

func validateAnyEvent(e *corev1.Event, strict bool) field.ErrorList {
	var faults field.ErrorList
	about := e.InvolvedObject.Namespace
	astray := about != e.Namespace && (about != "" || e.Namespace != metav1.NamespaceDefault)
	if !e.EventTime.IsZero() {
		astray = about == "" && e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem
	}
	if astray {
		faults = append(faults, field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace"))
	}
	if !e.EventTime.IsZero() {
		faults = append(faults, validateReport(e, strict)...)
	}
	return append(faults, texts(field.NewPath("namespace"), e.Namespace, utilvalidation.IsDNS1123Subdomain(e.Namespace))...)
}

// validateReport judges what an event with an eventTime must tell. The core group calls the controller a
// component.
func validateReport(e *corev1.Event, strict bool) field.ErrorList {
	var faults field.ErrorList
	short := func(name, value string, required bool, most int) {
		if required && value == "" {
			faults = append(faults, field.Required(field.NewPath(name), ""))
		}
		if len(value) > most {
			faults = append(faults, field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %d characters", most)))
		}
	}
	controller := field.NewPath("reportingComponent")
	if strict {
		controller = field.NewPath("reportingController")
	}
	faults = append(faults, validation.Filled(controller, e.ReportingController)...)
	faults = append(faults, texts(controller, e.ReportingController, utilvalidation.IsQualifiedName(e.ReportingController))...)
	short("reportingInstance", e.ReportingInstance, true, 128)
	short("action", e.Action, true, 128)
	short("reason", e.Reason, true, 128)
	short("message", e.Message, false, 1024)
	return faults
}

func validateNewEvent(e *corev1.Event) field.ErrorList {
	faults := apivalidation.ValidateObjectMeta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	faults = append(faults, validateSeries(e.Series)...)
	if e.EventTime.IsZero() {
		faults = append(faults, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		faults = append(faults, field.Invalid(field.NewPath("type"), "", "has invalid value: "+e.Type))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !e.FirstTimestamp.IsZero()},
		{"lastTimestamp", !e.LastTimestamp.IsZero()},
		{"count", e.Count != 0},
		{"source", e.Source != corev1.EventSource{}},
	} {
		if old.set {
			faults = append(faults, field.Invalid(field.NewPath(old.name), "", "needs to be unset"))
		}
	}
	return faults
}

func validateSeries(s *corev1.EventSeries) field.ErrorList {
	var faults field.ErrorList
	if s == nil {
		return nil
	}
	if s.Count < 2 {
		faults = append(faults, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if s.LastObservedTime.IsZero() {
		faults = append(faults, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return faults
}

// validateEventUpdate lets nothing change but the series. The reason is judged twice, as upstream does.
func validateEventUpdate(obj, old *corev1.Event) field.ErrorList {
	faults := apivalidation.ValidateObjectMetaUpdate(&obj.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	if !equality.Semantic.DeepEqual(obj.Series, old.Series) {
		faults = append(faults, validateSeries(obj.Series)...)
	}
	for _, f := range []struct {
		name        string
		now, before any
	}{
		{"involvedObject", obj.InvolvedObject, old.InvolvedObject},
		{"reason", obj.Reason, old.Reason},
		{"message", obj.Message, old.Message},
		{"source", obj.Source, old.Source},
		{"firstTimestamp", obj.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", obj.LastTimestamp, old.LastTimestamp},
		{"count", obj.Count, old.Count},
		{"reason", obj.Reason, old.Reason},
		{"type", obj.Type, old.Type},
		{"eventTime", obj.EventTime, old.EventTime},
		{"action", obj.Action, old.Action},
		{"related", obj.Related, old.Related},
		{"reportingController", obj.ReportingController, old.ReportingController},
		{"reportingInstance", obj.ReportingInstance, old.ReportingInstance},
	} {
		faults = append(faults, validation.Unchanged(field.NewPath(f.name), f.now, f.before)...)
	}
	return faults
}

func eventColumns() []metav1.TableColumnDefinition {
	doc := corev1.Event{}.SwaggerDoc()
	name := column.Name()
	name.Priority = 1
	return []metav1.TableColumnDefinition{
		column.Text("Last Seen", doc["lastTimestamp"]),
		column.Text("Type", doc["type"]),
		column.Text("Reason", doc["reason"]),
		column.Text("Object", doc["involvedObject"]),
		column.Wide("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"]),
		column.Wide("Source", doc["source"]),
		column.Text("Message", doc["message"]),
		column.Wide("First Seen", doc["firstTimestamp"]),
		column.Wide("Count", doc["count"]),
		name,
	}
}

func eventRow(e *corev1.Event) []any {
	first := column.Since(e.FirstTimestamp)
	if e.FirstTimestamp.IsZero() {
		first = column.SinceMicro(e.EventTime)
	}
	last, count := column.Since(e.LastTimestamp), e.Count
	if e.LastTimestamp.IsZero() {
		last = first
	}
	if e.Series != nil {
		last, count = column.SinceMicro(e.Series.LastObservedTime), e.Series.Count
	} else if count == 0 {
		count = 1 // in the newer group only a series counts
	}
	about := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		about += "/" + e.InvolvedObject.Name
	}
	return []any{last, e.Type, e.Reason, about, e.InvolvedObject.FieldPath, eventSource(e), strings.TrimSpace(e.Message),
		first, int64(count), e.Name}
}

func eventSource(e *corev1.Event) string {
	source, instance := cmp.Or(e.Source.Component, e.ReportingController), cmp.Or(e.Source.Host, e.ReportingInstance)
	if instance == "" {
		return source
	}
	return source + ", " + instance
}
