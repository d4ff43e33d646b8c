package core

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// eventView shows the same events with the names of the group events.k8s.io.
func eventView() resource.View[*corev1.Event] {
	return resource.View[*corev1.Event]{
		Kind:    eventsv1.SchemeGroupVersion.WithKind("Event"),
		New:     func() runtime.Object { return &eventsv1.Event{} },
		NewList: func() runtime.Object { return &eventsv1.EventList{} },
		From:    func(e *corev1.Event) (runtime.Object, error) { return eventFromCore(e), nil },
		To: func(o runtime.Object) (*corev1.Event, error) {
			e, is := o.(*eventsv1.Event)
			if !is {
				return nil, fmt.Errorf("reading an event of %s: it is a %T", eventsv1.GroupName, o)
			}
			return eventToCore(e), nil
		},
		FieldNames: slices.Sorted(maps.Keys(eventViewFields(&corev1.Event{}))),
		Fields:     eventViewFields,
		ShortNames: []string{"ev"},
	}
}

func eventViewFields(e *corev1.Event) map[string]string {
	fields := map[string]string{"reason": e.Reason, "type": e.Type, "reportingController": e.ReportingController}
	referenceFields(fields, "regarding.", &e.InvolvedObject)
	return fields
}

func eventFromCore(e *corev1.Event) *eventsv1.Event {
	out := &eventsv1.Event{
		ObjectMeta: e.ObjectMeta, EventTime: e.EventTime, ReportingController: e.ReportingController,
		ReportingInstance: e.ReportingInstance, Action: e.Action, Reason: e.Reason, Regarding: e.InvolvedObject,
		Related: e.Related, Note: e.Message, Type: e.Type, DeprecatedSource: e.Source,
		DeprecatedFirstTimestamp: e.FirstTimestamp, DeprecatedLastTimestamp: e.LastTimestamp, DeprecatedCount: e.Count,
	}
	if s := e.Series; s != nil {
		out.Series = &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return out
}

func eventToCore(e *eventsv1.Event) *corev1.Event {
	out := &corev1.Event{
		ObjectMeta: e.ObjectMeta, EventTime: e.EventTime, ReportingController: e.ReportingController,
		ReportingInstance: e.ReportingInstance, Action: e.Action, Reason: e.Reason, InvolvedObject: e.Regarding,
		Related: e.Related, Message: e.Note, Type: e.Type, Source: e.DeprecatedSource,
		FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp, Count: e.DeprecatedCount,
	}
	if s := e.Series; s != nil {
		out.Series = &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return out
}
