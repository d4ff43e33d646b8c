package deployment

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// roll is a rolling update's next step: grow the new set, else shrink the old ones, else clean up.
func (r *reconciler) roll(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (controller.Result, error) {
	newSet, err := r.newSet(ctx, d, sets, true)
	if err != nil || newSet == nil {
		return controller.Result{}, err
	}
	old := without(sets, newSet)
	all := withNew(old, newSet)
	want := sizes{}
	switch {
	case *newSet.Spec.Replicas > *d.Spec.Replicas:
		want[newSet.Name] = *d.Spec.Replicas
	case *newSet.Spec.Replicas < *d.Spec.Replicas:
		want[newSet.Name] = newSize(d, all, *newSet.Spec.Replicas)
	}
	scaled, err := r.scale(ctx, d, all, want)
	if err == nil && !scaled {
		scaled, err = r.scale(ctx, d, all, shrinkOld(d, newSet, all, active(old)))
	}
	if err != nil {
		return controller.Result{}, err
	}
	if !scaled && complete(d, &d.Status) {
		if err := r.cleanUp(ctx, d, old); err != nil {
			return controller.Result{}, err
		}
	}
	return r.writeRollout(ctx, d, all, newSet)
}

// recreate stops all old pods, waits until they are gone, and only then starts new ones.
func (r *reconciler) recreate(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (controller.Result, error) {
	newSet, err := r.newSet(ctx, d, sets, false)
	if err != nil {
		return controller.Result{}, err
	}
	old := without(sets, newSet)
	want := sizes{}
	for _, s := range active(old) {
		want[s.Name] = 0
	}
	scaled, err := r.scale(ctx, d, old, want)
	if err != nil {
		return controller.Result{}, err
	}
	running, err := r.anyRuns(old)
	if err != nil {
		return controller.Result{}, err
	}
	if scaled || running {
		return r.writeRollout(ctx, d, withNew(old, newSet), newSet)
	}
	if newSet == nil {
		if newSet, err = r.newSet(ctx, d, sets, true); err != nil || newSet == nil {
			return controller.Result{}, err
		}
	}
	all := withNew(old, newSet)
	if _, err = r.scale(ctx, d, all, sizes{newSet.Name: *d.Spec.Replicas}); err != nil {
		return controller.Result{}, err
	}
	if complete(d, &d.Status) {
		if err := r.cleanUp(ctx, d, old); err != nil {
			return controller.Result{}, err
		}
	}
	return r.writeRollout(ctx, d, all, newSet)
}

// anyRuns tells whether a pod of the sets has not ended yet, even if it is being deleted.
func (r *reconciler) anyRuns(sets []*appsv1.ReplicaSet) (bool, error) {
	for _, s := range sets {
		list, err := pods.OfOwner(r.pods, s)
		if err != nil {
			return false, err
		}
		for _, p := range list {
			if metav1.IsControlledBy(p, s) && !pods.Terminal(p) {
				return true, nil
			}
		}
	}
	return false, nil
}

// resize brings the sets to the deployment's changed size without going on with a rollout.
func (r *reconciler) resize(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (controller.Result, error) {
	newSet, err := r.newSet(ctx, d, sets, false)
	if err != nil {
		return controller.Result{}, err
	}
	old := without(sets, newSet)
	all := withNew(old, newSet)
	want := rescale(d, newSet, old)
	if want == nil {
		want = sizes{}
	}
	for _, s := range active(all) { // every set must know the size, else it counts as resized for ever
		if _, ok := want[s.Name]; !ok {
			want[s.Name] = *s.Spec.Replicas
		}
	}
	if _, err := r.scale(ctx, d, all, want); err != nil {
		return controller.Result{}, err
	}
	if d.Spec.Paused {
		if err := r.cleanUp(ctx, d, old); err != nil {
			return controller.Result{}, err
		}
	}
	return controller.Result{}, r.writeStatus(ctx, d, count(d, all, newSet, r.env.Clock.Now()))
}

// scale gives sets their sizes and tells whether one changed. The sets in all are replaced by what was
// written.
func (r *reconciler) scale(ctx context.Context, d *appsv1.Deployment, all []*appsv1.ReplicaSet, want sizes) (bool, error) {
	scaled := false
	for i, s := range all {
		size, ok := want[s.Name]
		if !ok {
			continue
		}
		s = s.DeepCopy()
		before := *s.Spec.Replicas
		annotated := sizeAnnotations(d, s)
		if before == size && !annotated {
			continue
		}
		s.Spec.Replicas = new(size)
		written, err := r.updateSet(ctx, d, s)
		if err != nil {
			return scaled, fmt.Errorf("scaling replica set %s: %w", s.Name, err)
		}
		all[i] = written
		if before != size {
			scaled = true
			r.scaledEvent(d, s.Name, before, size)
		}
	}
	return scaled, nil
}

func (r *reconciler) scaledEvent(d *appsv1.Deployment, set string, before, after int32) {
	direction := "up"
	if after < before {
		direction = "down"
	}
	r.events.Eventf(d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, set, before, after)
}

func (r *reconciler) updateSet(ctx context.Context, d *appsv1.Deployment, s *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	written, err := r.client.AppsV1().ReplicaSets(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if err == nil {
		r.Wrote(controller.KeyOf(d), r.setCache, written)
	}
	return written, err
}

func (r *reconciler) cleanUp(ctx context.Context, d *appsv1.Deployment, old []*appsv1.ReplicaSet) error {
	for _, s := range superfluous(d, old) {
		err := r.client.AppsV1().ReplicaSets(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting the old replica set %s: %w", s.Name, err)
		}
		r.Deleted(controller.KeyOf(d), r.setCache, s)
	}
	return nil
}

// newSet is the set of the deployment's template, made where create says so; nil where there is none.
// Its revision and annotations, and the deployment's, are brought up to date.
func (r *reconciler) newSet(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet, create bool) (*appsv1.ReplicaSet, error) {
	found := findNew(d, sets)
	next := maxRevision(without(sets, found)) + 1
	if found == nil {
		if !create {
			return nil, nil
		}
		return r.makeSet(ctx, d, sets, next)
	}
	s := found.DeepCopy()
	changed := annotateNew(d, s, next, true)
	if changed || s.Spec.MinReadySeconds != d.Spec.MinReadySeconds {
		s.Spec.MinReadySeconds = d.Spec.MinReadySeconds
		written, err := r.updateSet(ctx, d, s)
		if err != nil {
			return nil, fmt.Errorf("annotating replica set %s: %w", s.Name, err)
		}
		s = written
	}
	if hasDeadline(d) && condition(&d.Status, appsv1.DeploymentProgressing) == nil {
		status := *d.Status.DeepCopy()
		setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonFound, fmt.Sprintf("Found new replica set %q", s.Name), r.env.Clock.Now()))
		if err := r.writeStatus(ctx, d, status); err != nil {
			return nil, err
		}
	}
	return s, r.setRevision(ctx, d, revision(s))
}

// setRevision annotates the deployment with the revision of its new set.
func (r *reconciler) setRevision(ctx context.Context, d *appsv1.Deployment, n int64) error {
	want := strconv.FormatInt(n, 10)
	if d.Annotations[revisionAnnotation] == want {
		return nil
	}
	c := d.DeepCopy()
	c.Annotations = maps.Clone(c.Annotations)
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[revisionAnnotation] = want
	written, err := r.client.AppsV1().Deployments(d.Namespace).Update(ctx, c, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("recording the revision on deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	r.Wrote(controller.KeyOf(d), r.deployCache, written)
	d.Annotations, d.ResourceVersion = written.Annotations, written.ResourceVersion
	return nil
}

func (r *reconciler) makeSet(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet, next int64) (*appsv1.ReplicaSet, error) {
	s := setFor(d, sets, next)
	made, err := r.client.AppsV1().ReplicaSets(d.Namespace).Create(ctx, s, metav1.CreateOptions{})
	now := r.env.Clock.Now()
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.resolveCollision(ctx, d, s, err)
	case err != nil && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil, nil
	case err != nil:
		message := fmt.Sprintf("Failed to create new replica set %q: %v", s.Name, err)
		if hasDeadline(d) {
			status := *d.Status.DeepCopy()
			setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonFailed, message, now))
			_ = r.writeStatus(ctx, d, status) // the error that follows has the key tried again
		}
		r.events.Event(d, corev1.EventTypeWarning, reasonFailed, message)
		return nil, fmt.Errorf("creating replica set %s: %w", s.Name, err)
	}
	r.Wrote(controller.KeyOf(d), r.setCache, made)
	if *made.Spec.Replicas > 0 {
		r.scaledEvent(d, made.Name, 0, *made.Spec.Replicas)
	}
	if hasDeadline(d) {
		status := *d.Status.DeepCopy()
		setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonCreated, fmt.Sprintf("Created new replica set %q", made.Name), now))
		if err := r.writeStatus(ctx, d, status); err != nil {
			return nil, err
		}
	}
	return made, r.setRevision(ctx, d, next)
}

// setFor is the set of the deployment's template.
func setFor(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, next int64) *appsv1.ReplicaSet {
	template := *d.Spec.Template.DeepCopy()
	hash := templateHash(&template, d.Status.CollisionCount)
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[hashLabel] = hash
	selector := d.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[hashLabel] = hash
	s := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.Name + "-" + hash, Namespace: d.Namespace, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(newSize(d, sets, 0)), MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: template,
		},
	}
	annotateNew(d, s, next, false)
	return s
}

// resolveCollision: the name is taken. It is our own earlier attempt, which the cache does not show yet,
// or another template with the same hash, which raises the count that goes into the next hash.
func (r *reconciler) resolveCollision(ctx context.Context, d *appsv1.Deployment, s *appsv1.ReplicaSet, cause error) (*appsv1.ReplicaSet, error) {
	live, err := r.client.AppsV1().ReplicaSets(d.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading replica set %s, whose name is taken: %w", s.Name, err)
	}
	if metav1.IsControlledBy(live, d) && sameTemplate(&live.Spec.Template, &d.Spec.Template) {
		r.Wrote(controller.KeyOf(d), r.setCache, live)
		return live, nil
	}
	status := *d.Status.DeepCopy()
	status.CollisionCount = new(ptr.Deref(status.CollisionCount, 0) + 1)
	if err := r.writeStatus(ctx, d, status); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the name %s belongs to another template: %w", s.Name, cause)
}
