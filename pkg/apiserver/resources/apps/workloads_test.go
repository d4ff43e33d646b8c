package apps

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func paths(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, strings.TrimPrefix(f.Field, "spec."))
	}
	return strings.Join(list, " ")
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
}

func deployment(f func(*appsv1.DeploymentSpec)) *appsv1.Deployment {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Selector: selector(), Template: template()}}
	if f != nil {
		f(&d.Spec)
	}
	defaultDeployment(d)
	return d
}

func TestDeploymentsAreJudged(t *testing.T) {
	rolling := func(unavailable, surge string) func(*appsv1.DeploymentSpec) {
		return func(s *appsv1.DeploymentSpec) {
			s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.Parse(unavailable)), MaxSurge: new(intstr.Parse(surge))}
		}
	}
	for name, c := range map[string]struct {
		change func(*appsv1.DeploymentSpec)
		old    *appsv1.Deployment
		want   string
	}{
		"smallest":        {nil, nil, ""},
		"none":            {func(s *appsv1.DeploymentSpec) { s.Replicas = ptr.To[int32](0) }, nil, ""},
		"fewer than none": {func(s *appsv1.DeploymentSpec) { s.Replicas = ptr.To[int32](-1) }, nil, "replicas"},
		"no selector":     {func(s *appsv1.DeploymentSpec) { s.Selector = nil }, nil, "selector template.metadata.labels"},
		"all":             {func(s *appsv1.DeploymentSpec) { s.Selector = &metav1.LabelSelector{} }, nil, "selector"},
		"others":          {func(s *appsv1.DeploymentSpec) { s.Selector.MatchLabels["a"] = "c" }, nil, "template.metadata.labels"},
		"another selector": {func(s *appsv1.DeploymentSpec) {
			s.Selector, s.Template.Labels = &metav1.LabelSelector{MatchLabels: map[string]string{"c": "d"}}, map[string]string{"c": "d"}
		}, deployment(nil), "selector"},
		"ends":          {func(s *appsv1.DeploymentSpec) { s.Template.Spec.RestartPolicy = corev1.RestartPolicyNever }, nil, "template.spec.restartPolicy"},
		"surge alone":   {rolling("0", "1"), nil, ""},
		"no way on":     {rolling("0", "0%"), nil, "strategy.rollingUpdate.maxUnavailable"},
		"all at once":   {rolling("100%", "0"), nil, ""},
		"more than all": {rolling("101%", "0"), nil, "strategy.rollingUpdate.maxUnavailable"},
		"beyond number": {rolling("99999999999999999999%", "0"), nil, "strategy.rollingUpdate.maxUnavailable"},
		"twice as many": {rolling("0", "200%"), nil, ""},
		"rolled and recreated": {func(s *appsv1.DeploymentSpec) {
			rolling("1", "1")(s)
			s.Strategy.Type = appsv1.RecreateDeploymentStrategyType
		}, nil, "strategy.rollingUpdate"},
		"ready in time":  {func(s *appsv1.DeploymentSpec) { s.MinReadySeconds, s.ProgressDeadlineSeconds = 1, ptr.To[int32](2) }, nil, ""},
		"ready too late": {func(s *appsv1.DeploymentSpec) { s.MinReadySeconds, s.ProgressDeadlineSeconds = 2, ptr.To[int32](2) }, nil, "progressDeadlineSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := paths(validateDeployment(context.Background(), deployment(c.change), c.old)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

func TestDaemonSetsAreJudgedAndCountTheirTemplates(t *testing.T) {
	set := func(strategy appsv1.DaemonSetUpdateStrategy) *appsv1.DaemonSet {
		d := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template(), UpdateStrategy: strategy}}
		defaultDaemonSet(d)
		return d
	}
	rolling := func(unavailable, surge int32) appsv1.DaemonSetUpdateStrategy {
		return appsv1.DaemonSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateDaemonSet{
			MaxUnavailable: new(intstr.FromInt32(unavailable)), MaxSurge: new(intstr.FromInt32(surge))}}
	}
	for name, c := range map[string]struct {
		strategy appsv1.DaemonSetUpdateStrategy
		want     string
	}{
		"unsaid":           {appsv1.DaemonSetUpdateStrategy{}, ""},
		"surge":            {rolling(0, 1), ""},
		"both":             {rolling(1, 1), "updateStrategy.rollingUpdate.maxSurge"},
		"neither":          {rolling(0, 0), "updateStrategy.rollingUpdate.maxUnavailable"},
		"when deleted":     {appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}, ""},
		"no such strategy": {appsv1.DaemonSetUpdateStrategy{Type: "Odd"}, "updateStrategy"},
	} {
		if got := paths(validateDaemonSet(context.Background(), set(c.strategy), nil)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
	old := set(appsv1.DaemonSetUpdateStrategy{})
	prepareDaemonSet(context.Background(), old, nil)
	same, changed := old.DeepCopy(), old.DeepCopy()
	same.Spec.MinReadySeconds, changed.Spec.Template.Spec.Containers[0].Image = 1, "j"
	for want, d := range map[string]*appsv1.DaemonSet{"1": same, "2": changed} {
		prepareDaemonSet(context.Background(), d, old)
		if got := d.Annotations[appsv1.DeprecatedTemplateGeneration]; got != want {
			t.Errorf("template %s, want %s", got, want)
		}
	}
	for _, d := range []*appsv1.DaemonSet{same, changed} {
		d.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(-1))
		d.Generation = 2
	}
	warn := func(d *appsv1.DaemonSet) int { return len(DaemonSet().Warn(context.Background(), d, old)) }
	if warn(same) != 0 || warn(changed) != 1 {
		t.Errorf("%d and %d warnings, want one of the template that changed", warn(same), warn(changed))
	}
}

// TestStepsOfRollingUpdatesAreFilledIn: also where nothing is updated so.
func TestStepsOfRollingUpdatesAreFilledIn(t *testing.T) {
	daemons := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
		Type: appsv1.OnDeleteDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{}}}}
	defaultDaemonSet(daemons)
	if r := daemons.Spec.UpdateStrategy.RollingUpdate; r.MaxUnavailable == nil || r.MaxUnavailable.String() != "0" || r.MaxSurge == nil || r.MaxSurge.String() != "0" {
		t.Errorf("daemon sets: %v", r)
	}
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Strategy: appsv1.DeploymentStrategy{Type: "Odd", RollingUpdate: &appsv1.RollingUpdateDeployment{}}}}
	defaultDeployment(d)
	if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable == nil || r.MaxUnavailable.String() != "0" || r.MaxSurge == nil || r.MaxSurge.String() != "0" {
		t.Errorf("deployments: %v", r)
	}
	s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
		Type: "Odd", RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}}}}
	defaultStatefulSet(s)
	if p := s.Spec.UpdateStrategy.RollingUpdate.Partition; p == nil || *p != 0 {
		t.Errorf("stateful sets: %v", p)
	}
}

func TestDaemonSetsSelectByValuesThatCanBe(t *testing.T) {
	set := func(value string) *appsv1.DaemonSet {
		d := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template(), Selector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: metav1.LabelSelectorOpNotIn, Values: []string{value}}}}}}
		defaultDaemonSet(d)
		return d
	}
	const value = "selector.matchExpressions[0].values[0]"
	for name, c := range map[string]struct {
		obj, old *appsv1.DaemonSet
		want     string
	}{
		"new":       {set("-"), nil, value},
		"no longer": {set("-"), set("x"), "selector " + value},
		"as it was": {set("-"), set("-"), ""},
	} {
		if got := paths(validateDaemonSet(context.Background(), c.obj, c.old)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func statefulSet(f func(*appsv1.StatefulSetSpec)) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Selector: selector(), Template: template(), ServiceName: "s"}}
	if f != nil {
		f(&s.Spec)
	}
	defaultStatefulSet(s)
	return s
}

func TestStatefulSetsAreJudged(t *testing.T) {
	missing := func(n string) func(*appsv1.StatefulSetSpec) {
		return func(s *appsv1.StatefulSetSpec) {
			s.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
			s.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: new(intstr.Parse(n))}
		}
	}
	claims := func(names ...string) func(*appsv1.StatefulSetSpec) {
		return func(s *appsv1.StatefulSetSpec) {
			for _, name := range names {
				s.VolumeClaimTemplates = append(s.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name},
					Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
						Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1")}}}})
			}
		}
	}
	nameless := func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].Name = "" }
	for name, c := range map[string]struct {
		change func(*appsv1.StatefulSetSpec)
		old    *appsv1.StatefulSet
		want   string
	}{
		"smallest":      {nil, nil, ""},
		"one missing":   {missing("1"), statefulSet(missing("2")), ""},
		"none missing":  {missing("0%"), statefulSet(missing("1")), "updateStrategy.rollingUpdate.maxUnavailable"},
		"more than all": {missing("101%"), statefulSet(missing("1")), "updateStrategy.rollingUpdate.maxUnavailable"},
		"a claim twice": {claims("a", "a"), nil, ""},
		"claims are judged first": {func(s *appsv1.StatefulSetSpec) {
			claims("a")(s)
			s.VolumeClaimTemplates[0].Spec.AccessModes = nil
			s.Replicas = new(int32(-1))
		},
			nil, "volumeClaimTemplates[0].spec.accessModes replicas"},
		"a name that is none": {nameless, statefulSet(nil), "template.spec.containers[0].name"},
		"as it was":           {nameless, statefulSet(nameless), ""},
		"worse than it was": {func(s *appsv1.StatefulSetSpec) { nameless(s); s.MinReadySeconds = -1 },
			statefulSet(nameless), "minReadySeconds"},
		"a label that is none": {func(s *appsv1.StatefulSetSpec) { s.Template.Labels["b"] = "-" }, nil, "template.labels template.labels"},
	} {
		if got := paths(validateStatefulSet(context.Background(), statefulSet(c.change), c.old)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestStatefulSetsWarn(t *testing.T) {
	s := statefulSet(func(s *appsv1.StatefulSetSpec) {
		s.RevisionHistoryLimit = ptr.To[int32](-1)
		half := corev1.ResourceList{"storage": resource.MustParse("1500m")}
		s.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{Spec: corev1.PersistentVolumeClaimSpec{
			Resources: corev1.VolumeResourceRequirements{Requests: half, Limits: half}}}}
		s.Template.Spec.TerminationGracePeriodSeconds = new(int64(-1))
	})
	const part, history = `storage]: fractional byte value "1500m" is invalid, must be an integer`, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
	grace := "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
	claim := "spec.volumeClaimTemplates[0]"
	want := []string{grace, claim + ".resources.requests[" + part, claim + ".resources.limits[" + part, history}
	if got := warnStatefulSet(context.Background(), s, nil); !slices.Equal(got, want) {
		t.Errorf("a new one: %q, want %q", got, want)
	}
	// Of the template only where the generation has moved, of the rest always.
	want = []string{claim + ".Spec.resources.requests[" + part, claim + ".Spec.resources.limits[" + part, history}
	if got := warnStatefulSet(context.Background(), s, s.DeepCopy()); !slices.Equal(got, want) {
		t.Errorf("an old one: %q, want %q", got, want)
	}
}

func TestStatefulSetsChangeOnlyWhatMayChange(t *testing.T) {
	set := statefulSet
	for name, c := range map[string]struct {
		change  func(*appsv1.StatefulSetSpec)
		allowed bool
	}{
		"replicas": {func(s *appsv1.StatefulSetSpec) { s.Replicas = ptr.To[int32](3) }, true},
		"template": {func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].Image = "j" }, true},
		"strategy": {func(s *appsv1.StatefulSetSpec) { s.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }, true},
		"ordinals": {func(s *appsv1.StatefulSetSpec) { s.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1} }, true},
		"history":  {func(s *appsv1.StatefulSetSpec) { s.RevisionHistoryLimit = ptr.To[int32](1) }, true},
		"claims kept": {func(s *appsv1.StatefulSetSpec) {
			s.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
		}, true},
		"service":    {func(s *appsv1.StatefulSetSpec) { s.ServiceName = "t" }, false},
		"management": {func(s *appsv1.StatefulSetSpec) { s.PodManagementPolicy = appsv1.ParallelPodManagement }, false},
	} {
		if got := len(validateStatefulSet(context.Background(), set(c.change), set(nil))) == 0; got != c.allowed {
			t.Errorf("%s: allowed %v, want %v", name, got, c.allowed)
		}
	}
}

func TestARevisionsDataIsAnObjectAndStays(t *testing.T) {
	revision := func(data string, n int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte(data)}, Revision: n}
	}
	for name, c := range map[string]struct {
		obj, old *appsv1.ControllerRevision
		want     string
	}{
		"good":         {revision(`{"a":1}`, 0), nil, ""},
		"below none":   {revision(`{"a":1}`, -1), nil, "revision: must be greater than or equal to 0"},
		"no data":      {&appsv1.ControllerRevision{}, nil, "data: data is mandatory"},
		"nothing":      {revision(`null`, 0), nil, "data: data is mandatory"},
		"a list":       {revision(`[]`, 0), nil, "data: data must be a valid JSON object"},
		"no JSON":      {revision(`{`, -1), nil, "revision: must be greater than or equal to 0; data: error parsing data: unexpected end of JSON input"},
		"changed":      {revision(`{"a":2}`, 0), revision(`{"a":1}`, 0), "data: field is immutable"},
		"to a list":    {revision(`[]`, -1), revision(`{"a":1}`, 0), "revision: must be greater than or equal to 0; data: field is immutable"},
		"with a space": {revision(`{ "a": 1 }`, 1), revision(`{"a":1}`, 0), ""},
	} {
		var said []string
		for _, f := range validateRevision(context.Background(), c.obj, c.old) {
			said = append(said, f.Field+": "+f.Detail)
		}
		if got := strings.Join(said, "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
