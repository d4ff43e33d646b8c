// Package flowstatus keeps the condition of flow schemas that says whether the priority level that they name
// exists.
package flowstatus

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// manager is the name under which kube-apiserver writes the condition.
const manager = "api-priority-and-fairness-config-consumer-v1"

// retry is how long a write that failed waits for its next try.
const retry = time.Second

var (
	schemas = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "flowschemas"}
	levels  = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "prioritylevelconfigurations"}
)

// Access is what is read and written.
type Access interface {
	resource.Reader
	Apply(ctx context.Context, r schema.GroupResource, subresource string, wanted *unstructured.Unstructured, manager string) error
}

// Keep looks at every flow schema when one or a priority level changes, until ctx ends.
func Keep(ctx context.Context, access Access, now func() time.Time, log logr.Logger) error {
	changed := make(chan struct{}, 1)
	wake := func(resource.Object, resource.Object) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	synced, err := resource.FollowAll(ctx, access, []schema.GroupResource{levels, schemas}, false, wake)
	if err != nil {
		return err
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	for {
		var again <-chan time.Time
		if err := look(ctx, access, now()); err != nil && ctx.Err() == nil {
			log.Error(err, "Writing conditions of flow schemas; will be tried again")
			again = time.After(retry)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}

// look writes the conditions that are not as they should be.
func look(ctx context.Context, access Access, now time.Time) error {
	all, err := access.List(ctx, schemas, "")
	if err != nil {
		return err
	}
	for _, o := range all {
		s := o.(*flowcontrolv1.FlowSchema)
		_, err := access.Get(ctx, levels, "", s.Spec.PriorityLevelConfiguration.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		want := condition(s, err == nil, now)
		if want == nil {
			continue
		}
		err = access.Apply(ctx, schemas, "status", applied(s, want), manager)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("the condition of flow schema %q: %w", s.Name, err)
		}
	}
	return nil
}

// condition says what the condition should become, nil where it is right.
func condition(s *flowcontrolv1.FlowSchema, exists bool, now time.Time) *flowcontrolv1.FlowSchemaCondition {
	want := flowcontrolv1.FlowSchemaCondition{Type: flowcontrolv1.FlowSchemaConditionDangling, LastTransitionTime: metav1.NewTime(now)}
	if exists {
		want.Status, want.Reason = flowcontrolv1.ConditionFalse, "Found"
		want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", s.Spec.PriorityLevelConfiguration.Name)
	} else {
		want.Status, want.Reason = flowcontrolv1.ConditionTrue, "NotFound"
		want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", s.Spec.PriorityLevelConfiguration.Name)
	}
	for _, have := range s.Status.Conditions {
		if have.Type != want.Type {
			continue
		}
		if have.Status == want.Status {
			want.LastTransitionTime = have.LastTransitionTime
		}
		if have == want {
			return nil
		}
	}
	return &want
}

func applied(s *flowcontrolv1.FlowSchema, c *flowcontrolv1.FlowSchemaCondition) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": flowcontrolv1.SchemeGroupVersion.String(), "kind": "FlowSchema",
		"metadata": map[string]any{"name": s.Name, "uid": string(s.UID)},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": string(c.Type), "status": string(c.Status), "reason": c.Reason, "message": c.Message,
			"lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339),
		}}},
	}}
}
