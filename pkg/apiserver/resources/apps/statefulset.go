package apps

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

const statefulSetFrozen = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', " +
	"'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

var podSpecDoc = corev1.PodSpec{}.SwaggerDoc()

// StatefulSet declares stateful sets.
func StatefulSet() *resource.Resource {
	prepare := workload.Prepare(func(s *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &s.Spec.Template },
		func(s *appsv1.StatefulSet) *appsv1.StatefulSetStatus { return &s.Status })
	return resource.Define(resource.Definition[*appsv1.StatefulSet]{
		Kind:         appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		Plural:       "statefulsets",
		ShortNames:   []string{"sts"},
		Categories:   []string{"all"},
		ValidateName: apivalidation.NameIsDNSLabel,
		Default:      defaultStatefulSet,
		Prepare: func(ctx context.Context, s, old *appsv1.StatefulSet) {
			prepare(ctx, s, old)
			if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && !usesMaxUnavailable(old) {
				r.MaxUnavailable = nil
			}
		},
		Validate: validateStatefulSet,
		Warn:     warnStatefulSet,
		Spec:     func(s *appsv1.StatefulSet) any { return &s.Spec },
		Reset:    []string{"status"},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Ready", "Number of the pod with ready state"),
			column.Age(),
		}, workload.ContainerColumns(1)...),
		Row: func(s *appsv1.StatefulSet) []any {
			names, images := workload.Containers(s.Spec.Template.Spec.Containers)
			return []any{s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, desired(s.Spec.Replicas)), column.Since(s.CreationTimestamp), names, images}
		},
		Subresources: []resource.Subresource[*appsv1.StatefulSet]{
			resource.Status(appsv1.SchemeGroupVersion.WithKind("StatefulSet"), resource.UpdatePart[*appsv1.StatefulSet]{
				Prepare:  resource.Keep(func(s, old *appsv1.StatefulSet) { s.Spec = old.Spec }),
				Validate: validateStatefulSetStatus,
			}),
			workload.Scale(
				func(s *appsv1.StatefulSet) **int32 { return &s.Spec.Replicas },
				func(s *appsv1.StatefulSet) int32 { return s.Status.Replicas },
				func(s *appsv1.StatefulSet) string { return selectorOf(s.Spec.Selector) },
			),
		},
	})
}

func usesMaxUnavailable(s *appsv1.StatefulSet) bool {
	return s != nil && s.Spec.UpdateStrategy.RollingUpdate != nil && s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil
}

func defaultStatefulSet(s *appsv1.StatefulSet) {
	defaults.PodTemplate(&s.Spec.Template)
	spec := &s.Spec
	spec.PodManagementPolicy = cmp.Or(spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	if spec.UpdateStrategy.Type == "" {
		spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		// A partition alone means a rolling update.
		set(&spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if spec.UpdateStrategy.RollingUpdate != nil { // whatever the type
		set(&spec.UpdateStrategy.RollingUpdate.Partition, 0)
	}
	set(&spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	for _, policy := range []*appsv1.PersistentVolumeClaimRetentionPolicyType{
		&spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, &spec.PersistentVolumeClaimRetentionPolicy.WhenScaled} {
		if *policy == "" {
			*policy = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		}
	}
	set(&spec.Replicas, 1)
	set(&spec.RevisionHistoryLimit, 10)
	for i := range spec.VolumeClaimTemplates {
		claim := &spec.VolumeClaimTemplates[i]
		claim.APIVersion, claim.Kind = "v1", "PersistentVolumeClaim"
		defaults.Claim(&claim.Spec)
		claim.Status.Phase = cmp.Or(claim.Status.Phase, corev1.ClaimPending)
	}
}

func validateStatefulSet(ctx context.Context, s, old *appsv1.StatefulSet) field.ErrorList {
	path := field.NewPath("spec")
	if old == nil {
		return statefulSetSpec(path, &s.Spec, workload.Options(ctx, nil), statefulSetRules{claims: true, pods: true})
	}
	options := workload.Options(ctx, &old.Spec.Template)
	faults := statefulSetSpec(path, &s.Spec, options, statefulSetRules{pods: true})
	if len(faults) > 0 && len(statefulSetSpec(path, &old.Spec, options, statefulSetRules{pods: true})) > 0 {
		// Templates were once not judged, and one stored then must not keep the rest from being changed.
		faults = statefulSetSpec(path, &s.Spec, options, statefulSetRules{})
	}
	if !equality.Semantic.DeepEqual(frozen(&s.Spec), frozen(&old.Spec)) {
		faults = append(faults, field.Forbidden(path, statefulSetFrozen))
	}
	return faults
}

// statefulSetRules are those that not every write is judged by.
type statefulSetRules struct {
	claims bool // what may not change after: the claim templates and the name of the service
	pods   bool // the template's spec
}

func statefulSetSpec(path *field.Path, spec *appsv1.StatefulSetSpec, options validation.PodOptions, rules statefulSetRules) field.ErrorList {
	faults := statefulSetPolicies(path, spec)
	if rules.claims {
		for i := range spec.VolumeClaimTemplates {
			at := path.Child("volumeClaimTemplates").Index(i).Child("spec")
			faults = append(faults, validation.ClaimSpec(at, &spec.VolumeClaimTemplates[i].Spec, validation.ClaimOptions{})...)
		}
	}
	faults = append(faults, validation.NotNegative(path.Child("replicas"), *spec.Replicas)...)
	faults = append(faults, validation.NotNegative(path.Child("minReadySeconds"), spec.MinReadySeconds)...)
	if spec.Ordinals != nil {
		faults = append(faults, validation.NotNegative(path.Child("ordinals", "start"), spec.Ordinals.Start)...)
	}
	if rules.claims && spec.ServiceName != "" {
		faults = append(faults, validation.DNSLabel(path.Child("serviceName"), spec.ServiceName)...)
	}
	faults = append(faults, workload.Selector(path.Child("selector"), spec.Selector, "statefulset", false)...)
	template := path.Child("template")
	if selector, err := metav1.LabelSelectorAsSelector(spec.Selector); err != nil {
		faults = append(faults, field.Invalid(path.Child("selector"), spec.Selector, ""))
	} else {
		faults = append(faults, workload.Matches(template, &spec.Template, selector)...)
		t := withClaims(spec)
		if rules.pods {
			faults = append(faults, validation.PodTemplate(template, t, options)...)
		}
		faults = append(faults, validation.TemplateMetadata(template, t, options)...) // told twice, as clients know it
	}
	return append(faults, workload.RunsForEver(template, &spec.Template, "StatefulSet")...)
}

func statefulSetPolicies(path *field.Path, spec *appsv1.StatefulSetSpec) field.ErrorList {
	var faults field.ErrorList
	if p := spec.PodManagementPolicy; p != appsv1.OrderedReadyPodManagement && p != appsv1.ParallelPodManagement {
		faults = append(faults, field.Invalid(path.Child("podManagementPolicy"), p,
			fmt.Sprintf("must be '%s' or '%s'", appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)))
	}
	strategy, at := &spec.UpdateStrategy, path.Child("updateStrategy")
	switch strategy.Type {
	case appsv1.OnDeleteStatefulSetStrategyType:
		if strategy.RollingUpdate != nil {
			faults = append(faults, field.Invalid(at.Child("rollingUpdate"), validation.GoNames(strategy.RollingUpdate),
				fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType)))
		}
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if strategy.RollingUpdate != nil {
			faults = append(faults, statefulSetRolling(at.Child("rollingUpdate"), strategy.RollingUpdate)...)
		}
	default:
		faults = append(faults, field.Invalid(at, validation.GoNames(*strategy),
			fmt.Sprintf("must be '%s' or '%s'", appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType)))
	}
	policies := []appsv1.PersistentVolumeClaimRetentionPolicyType{appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
	judge := func(name string, p appsv1.PersistentVolumeClaimRetentionPolicyType) {
		if !slices.Contains(policies, p) {
			faults = append(faults, field.NotSupported(path.Child("persistentVolumeClaimRetentionPolicy", name), p, policies))
		}
	}
	judge("whenDeleted", spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted)
	judge("whenScaled", spec.PersistentVolumeClaimRetentionPolicy.WhenScaled)
	return faults
}

// statefulSetRolling judges also what a set may only have kept: how many of its pods may be missing at once.
func statefulSetRolling(path *field.Path, r *appsv1.RollingUpdateStatefulSetStrategy) field.ErrorList {
	faults := validation.WhereSet(path.Child("partition"), r.Partition, validation.NotNegative)
	if r.MaxUnavailable == nil {
		return faults
	}
	at := path.Child("maxUnavailable")
	faults = append(faults, validation.IntOrPercent(at, *r.MaxUnavailable)...)
	if amount(*r.MaxUnavailable) == 0 {
		faults = append(faults, field.Invalid(at, *r.MaxUnavailable, "cannot be 0"))
	}
	return append(faults, validation.AtMostHundredPercent(at, *r.MaxUnavailable)...)
}

// withClaims is the template as its pods will be: each claim template stands as a volume, once, in the place of
// one of the same name.
func withClaims(spec *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	t := spec.Template.DeepCopy()
	t.Spec.Hostname, t.Spec.Subdomain = "", "" // each pod is given its own
	if len(spec.VolumeClaimTemplates) == 0 {
		return t
	}
	volumes, named := make([]corev1.Volume, 0, len(spec.VolumeClaimTemplates)+len(t.Spec.Volumes)), map[string]bool{}
	for _, claim := range spec.VolumeClaimTemplates {
		if !named[claim.Name] {
			volumes = append(volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name}}})
		}
		named[claim.Name] = true
	}
	for _, v := range t.Spec.Volumes {
		if !named[v.Name] {
			volumes = append(volumes, v)
		}
	}
	t.Spec.Volumes = volumes
	return t
}

// frozen copies a spec without what may change.
func frozen(spec *appsv1.StatefulSetSpec) *appsv1.StatefulSetSpec {
	rest := spec.DeepCopy()
	rest.Replicas = nil
	rest.Template = corev1.PodTemplateSpec{}
	rest.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{}
	rest.MinReadySeconds = 0
	rest.Ordinals = nil
	rest.RevisionHistoryLimit = nil
	rest.PersistentVolumeClaimRetentionPolicy = nil
	return rest
}

func validateStatefulSetStatus(_ context.Context, s, old *appsv1.StatefulSet) field.ErrorList {
	path, status := field.NewPath("status"), &s.Status
	ready := workload.Count{Name: "readyReplicas", Value: int64(status.ReadyReplicas)}
	current := workload.Count{Name: "currentReplicas", Value: int64(status.CurrentReplicas)}
	updated := workload.Count{Name: "updatedReplicas", Value: int64(status.UpdatedReplicas)}
	available := workload.Count{Name: "availableReplicas", Value: int64(status.AvailableReplicas)}
	faults := workload.NotNegative(path, workload.Count{Name: "replicas", Value: int64(status.Replicas)}, ready, current, updated, available,
		workload.Count{Name: "observedGeneration", Value: status.ObservedGeneration})
	if status.CollisionCount != nil {
		faults = append(faults, validation.NotNegative(path.Child("collisionCount"), *status.CollisionCount)...)
	}
	faults = append(faults, workload.AtMost(path, status.Replicas, "status.replicas", ready, current, updated, available)...)
	faults = append(faults, workload.AtMost(path, status.ReadyReplicas, "status.readyReplicas", available)...)
	return append(faults, workload.NotDecremented(path.Child("collisionCount"), status.CollisionCount, old.Status.CollisionCount)...)
}

func warnStatefulSet(_ context.Context, s, old *appsv1.StatefulSet) []string {
	warnings := workload.TemplateWarnings(&s.Spec.Template, s, old)
	for i := range s.Spec.VolumeClaimTemplates {
		at := field.NewPath("spec", "volumeClaimTemplates").Index(i)
		if old != nil {
			at = at.Child("Spec") // so updates spell it
		}
		warnings = append(warnings, validation.ClaimWarnings(at, &s.Spec.VolumeClaimTemplates[i].Spec)...)
	}
	if r := s.Spec.RevisionHistoryLimit; r != nil && *r < 0 {
		warnings = append(warnings, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return warnings
}
