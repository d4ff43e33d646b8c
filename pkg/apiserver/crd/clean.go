package crd

import (
	"context"
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// Times of the clean-up: how long objects may take before the status says that they do, and the pause after an
// error.
const (
	patience   = time.Minute
	retryAfter = 5 * time.Second
)

// clean removes the objects of a definition that is on its way out, and then lets it go.
func (m *Manager) clean(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) {
	if !slices.Contains(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		return
	}
	if !apiextensions.IsTrue(crd, apiextensionsv1.Established) {
		go m.release(ctx, crd.Name, terminating(apiextensionsv1.ConditionFalse, "NeverEstablished", "resource was never established"))
		return
	}
	m.mu.Lock()
	s := m.served[crd.Name]
	m.mu.Unlock()
	if s == nil || s.cleaning.Swap(true) {
		return // it is on its way
	}
	go m.cleanUp(ctx, crd.Name, schema.GroupResource{Group: crd.Spec.Group, Resource: crd.Status.AcceptedNames.Plural})
}

func terminating(status apiextensionsv1.ConditionStatus, reason, message string) apiextensionsv1.CustomResourceDefinitionCondition {
	return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Terminating, Status: status, Reason: reason, Message: message}
}

func (m *Manager) cleanUp(ctx context.Context, name string, objects schema.GroupResource) {
	say := func(reason, message string) {
		m.write(ctx, name, func(crd *apiextensionsv1.CustomResourceDefinition) {
			apiextensions.SetCondition(crd, m.now(), terminating(apiextensionsv1.ConditionTrue, reason, message))
		})
	}
	for ctx.Err() == nil {
		say("InstanceDeletionInProgress", "CustomResource deletion is in progress")
		err := m.deleteAll(ctx, objects)
		if err == nil {
			err = m.untilEmpty(ctx, objects, func() {
				say("InstanceDeletionCheck", "could not confirm zero CustomResources remaining: timed out waiting for the condition")
			})
		} else {
			say("InstanceDeletionFailed", err.Error())
		}
		if err == nil {
			m.release(ctx, name, terminating(apiextensionsv1.ConditionFalse, "InstanceDeletionCompleted", "removed all instances"))
			return
		}
		select {
		case <-ctx.Done():
		case <-m.cfg.Clock.After(retryAfter):
		}
	}
}

func (m *Manager) deleteAll(ctx context.Context, objects schema.GroupResource) error {
	list, err := m.cfg.Access.List(ctx, objects, "")
	if err != nil {
		return fmt.Errorf("could not list instances: %w", err)
	}
	for _, o := range list {
		err := m.cfg.Access.Delete(ctx, objects, o.GetNamespace(), o.GetName(), &metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("could not issue all deletes: %w", err)
		}
	}
	return nil
}

// untilEmpty waits until no object is left; one that came into being meanwhile is deleted too. late is called when
// that takes long.
func (m *Manager) untilEmpty(ctx context.Context, objects schema.GroupResource, late func()) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	left := map[string]bool{}
	changed := make(chan int, 1) // how many are left; only the last figure counts
	synced, err := m.cfg.Access.Follow(following, objects, func(obj, gone resource.Object) {
		if obj == nil {
			delete(left, gone.GetNamespace()+"/"+gone.GetName())
		} else {
			left[obj.GetNamespace()+"/"+obj.GetName()] = true
			if obj.GetDeletionTimestamp() == nil {
				_ = m.cfg.Access.Delete(following, objects, obj.GetNamespace(), obj.GetName(), &metav1.DeleteOptions{})
			}
		}
		select {
		case <-changed:
		default:
		}
		changed <- len(left)
	})
	if err != nil {
		return err
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return ctx.Err()
	}
	timer := m.cfg.Clock.NewTimer(patience)
	defer timer.Stop()
	if list, err := m.cfg.Access.List(ctx, objects, ""); err == nil && len(list) == 0 {
		return nil
	}
	for {
		select {
		case n := <-changed:
			if n == 0 {
				_, err := m.cfg.Access.List(ctx, objects, "") // those that cannot be read are not told of
				return err
			}
		case <-timer.C():
			late()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release lets a definition go.
func (m *Manager) release(ctx context.Context, name string, why apiextensionsv1.CustomResourceDefinitionCondition) {
	m.write(ctx, name, func(crd *apiextensionsv1.CustomResourceDefinition) {
		apiextensions.SetCondition(crd, m.now(), why)
		crd.Finalizers = slices.DeleteFunc(crd.Finalizers, func(f string) bool { return f == apiextensionsv1.CustomResourceCleanupFinalizer })
	})
}

// write changes a definition's status, until it succeeds or the definition is gone.
func (m *Manager) write(ctx context.Context, name string, change func(*apiextensionsv1.CustomResourceDefinition)) {
	for ctx.Err() == nil {
		_, err := m.cfg.Access.Update(ctx, apiextensions.Definitions, "status", "", name, func(o resource.Object) error {
			change(o.(*apiextensionsv1.CustomResourceDefinition))
			return nil
		})
		if err == nil || apierrors.IsNotFound(err) {
			return
		}
		m.cfg.Log.Error(err, "Writing the status of a definition that is deleted", "definition", name)
		select {
		case <-ctx.Done():
		case <-m.cfg.Clock.After(retryAfter):
		}
	}
}
