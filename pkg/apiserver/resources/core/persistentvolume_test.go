package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestVolumesKeepTheirSource(t *testing.T) {
	zone := func(key string) *corev1.VolumeNodeAffinity {
		return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}},
		}}}}
	}
	expander := &corev1.SecretReference{Name: "s", Namespace: "ns"}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.PersistentVolumeSpec)
		want     []string
	}{
		{"as before", nil, nil, nil},
		{"another source", nil, func(s *corev1.PersistentVolumeSpec) { s.CSI.VolumeHandle = "i" }, []string{"spec.persistentvolumesource: FieldValueForbidden"}},
		{"a secret to expand with", nil, func(s *corev1.PersistentVolumeSpec) { s.CSI.ControllerExpandSecretRef = expander }, nil},
		{"another secret to expand with", func(s *corev1.PersistentVolumeSpec) { s.CSI.ControllerExpandSecretRef = expander },
			func(s *corev1.PersistentVolumeSpec) { s.CSI.ControllerExpandSecretRef = nil }, []string{"spec.persistentvolumesource: FieldValueForbidden"}},
		{"nodes at last", nil, func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone("z") }, nil},
		{"other nodes", func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone("y") },
			func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone("z") }, []string{"nodeAffinity: FieldValueInvalid"}},
		{"no nodes", func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone("y") }, nil, []string{"nodeAffinity: FieldValueInvalid"}},
		{"the label's new name", func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone(corev1.LabelFailureDomainBetaZone) },
			func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone(corev1.LabelTopologyZone) }, nil},
		{"the label's old name", func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone(corev1.LabelTopologyZone) },
			func(s *corev1.PersistentVolumeSpec) { s.NodeAffinity = zone(corev1.LabelFailureDomainBetaZone) }, []string{"nodeAffinity: FieldValueInvalid"}},
		{"attributes", nil, func(s *corev1.PersistentVolumeSpec) { s.VolumeAttributesClassName = new("a") }, nil},
		{"no attributes", func(s *corev1.PersistentVolumeSpec) { s.VolumeAttributesClassName = new("a") }, nil,
			[]string{"spec.volumeAttributesClassName: FieldValueForbidden"}},
	} {
		was, now := &corev1.PersistentVolume{}, &corev1.PersistentVolume{}
		for v, edit := range map[*corev1.PersistentVolume]func(*corev1.PersistentVolumeSpec){was: test.was, now: test.now} {
			v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h"}
			if edit != nil {
				edit(&v.Spec)
			}
		}
		if got := fieldsOf(volumeStays(now, was)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestMountOptionsStandWhereVolumesAreMountedWithSome(t *testing.T) {
	annotated := metav1.ObjectMeta{Annotations: map[string]string{corev1.MountOptionAnnotation: "ro"}}
	for _, test := range []struct {
		name   string
		source corev1.PersistentVolumeSource
		want   []string
	}{
		{"nfs", corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{}}, nil},
		{"a path", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{}},
			[]string{"metadata.annotations.volume.beta.kubernetes.io/mount-options: FieldValueForbidden"}},
	} {
		v := &corev1.PersistentVolume{ObjectMeta: annotated, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: test.source}}
		if got := fieldsOf(mayHaveMountOptions(v)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	v := &corev1.PersistentVolume{ObjectMeta: annotated}
	const own = "metadata.annotations.volume.beta.kubernetes.io/mount-options: FieldValueForbidden"
	for _, old := range []*corev1.PersistentVolume{nil, v} {
		if got := fieldsOf(PersistentVolume(clocktesting.NewFakePassiveClock(time.Now())).Validate(t.Context(), v, old)); !slices.Contains(got, own) {
			t.Errorf("not judged: %v", got)
		}
	}
}

func TestPhasesAreTimed(t *testing.T) {
	then, later := metav1.Unix(1000, 0), metav1.Unix(2000, 0)
	own := metav1.Unix(1500, 0)
	for _, test := range []struct {
		name string
		now  corev1.PersistentVolumeStatus
		want metav1.Time
	}{
		{"the same phase", corev1.PersistentVolumeStatus{Phase: corev1.VolumePending}, then},
		{"the same phase at a time of its own", corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &own}, own},
		{"another phase", corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound}, later},
		{"another phase at the old time", corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound, LastPhaseTransitionTime: &then}, later},
		{"another phase at a time of its own", corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound, LastPhaseTransitionTime: &own}, own},
	} {
		was := corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &then}
		timePhase(&test.now, &was, clocktesting.NewFakePassiveClock(later.Add(300*time.Millisecond)))
		if !test.now.LastPhaseTransitionTime.Equal(&test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.now.LastPhaseTransitionTime, test.want)
		}
	}
}

// aClaim is bound, of class "c" and 2Gi of which it has 1Gi, changed by edit.
func aClaim(edit func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: new("c"), VolumeName: "v",
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("2Gi")}},
	}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: corev1.ResourceList{"storage": resource.MustParse("1Gi")}}}
	if edit != nil {
		edit(c)
	}
	return c
}

func TestClaimsKeepWhatTheyAskFor(t *testing.T) {
	const spec, size, attributes = "spec: FieldValueForbidden", "spec.resources.requests.storage: FieldValueForbidden", "spec.volumeAttributesClassName: FieldValueForbidden"
	sized := func(q string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.Resources.Requests["storage"] = resource.MustParse(q) }
	}
	pending := func(edit func(*corev1.PersistentVolumeClaim)) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Status, c.Spec.VolumeName = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}, ""
			edit(c)
		}
	}
	class := func(annotation string, name *string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Spec.StorageClassName = name
			if annotation != "" {
				c.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: annotation}
			}
		}
	}
	attributed := func(name *string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeAttributesClassName = name }
	}
	applied := func(edit func(*corev1.PersistentVolumeClaim)) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			edit(c)
			c.Status.CurrentVolumeAttributesClassName = new("a")
		}
	}
	nothing := func(*corev1.PersistentVolumeClaim) {}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.PersistentVolumeClaim)
		want     []string
	}{
		{"as before", nothing, nothing, nil},
		{"larger", nothing, sized("3Gi"), nil},
		{"larger before it is bound", pending(nothing), pending(sized("3Gi")), []string{spec}},
		{"smaller, above what it has", nothing, sized("1025Mi"), nil},
		{"smaller, as what it has", nothing, sized("1Gi"), []string{size}},
		{"bound", pending(nothing), pending(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "w" }), nil},
		{"bound to another", nothing, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "w" }, []string{spec}},
		{"another class", nothing, class("", new("d")), []string{spec}},
		{"a class at last", class("", nil), class("", new("d")), nil},
		{"the class moves to its field", class("d", nil), class("", new("d")), nil},
		{"the class stays in both", class("d", nil), class("d", new("d")), nil},
		{"another class moves to the field", class("d", nil), class("", new("e")), []string{"metadata.annotations.volume.beta.kubernetes.io/storage-class: FieldValueInvalid", spec}},
		{"attributes", nothing, attributed(new("a")), nil},
		{"other attributes", attributed(new("a")), attributed(new("b")), nil},
		{"other attributes before it is bound", pending(attributed(new("a"))), pending(attributed(new("b"))), []string{spec}},
		{"no attributes, before any were given", attributed(new("a")), attributed(nil), nil},
		{"attributes of no name, before any were given", attributed(new("a")), attributed(new("")), nil},
		{"no attributes", applied(attributed(new("a"))), attributed(nil), []string{attributes}},
		{"attributes of no name", applied(attributed(new("b"))), attributed(new("")), []string{attributes}},
		{"still no attributes", applied(nothing), nothing, nil},
		{"the source in both fields",
			func(c *corev1.PersistentVolumeClaim) {
				c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "n"}
			},
			func(c *corev1.PersistentVolumeClaim) {
				c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "n"}
				c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "n"}
			}, nil},
		{"another mode", nothing, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }, []string{spec, "volumeMode: FieldValueInvalid"}},
	} {
		if got := fieldsOf(claimStays(aClaim(test.now), aClaim(test.was))); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestFaultsOfClaimsAreToldOnce(t *testing.T) {
	edit := func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new("A b") }
	if got, want := fieldsOf(PersistentVolumeClaim().Validate(t.Context(), aClaim(edit), aClaim(edit))), []string{"spec.storageClassName: FieldValueInvalid"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSourcesAgree(t *testing.T) {
	claim := &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "n"}
	other := &corev1.TypedLocalObjectReference{APIGroup: new("g"), Kind: "K", Name: "n"}
	ref := func(namespace *string) *corev1.TypedObjectReference {
		return &corev1.TypedObjectReference{APIGroup: new("g"), Kind: "K", Name: "n", Namespace: namespace}
	}
	for _, test := range []struct {
		name      string
		now, was  corev1.PersistentVolumeClaimSpec
		updated   bool
		has, refs bool
	}{
		{name: "neither"},
		{name: "a claim", now: corev1.PersistentVolumeClaimSpec{DataSource: claim}, has: true, refs: true},
		{name: "anything in the old field", now: corev1.PersistentVolumeClaimSpec{DataSource: other}},
		{name: "anything in the old field that stands", now: corev1.PersistentVolumeClaimSpec{DataSource: other}, was: corev1.PersistentVolumeClaimSpec{DataSource: other}, updated: true, has: true, refs: true},
		{name: "anything in the new field", now: corev1.PersistentVolumeClaimSpec{DataSourceRef: ref(nil)}, has: true, refs: true},
		{name: "elsewhere", now: corev1.PersistentVolumeClaimSpec{DataSourceRef: ref(new("ns"))}},
		{name: "elsewhere as it stands", now: corev1.PersistentVolumeClaimSpec{DataSourceRef: ref(new("ns"))}, was: corev1.PersistentVolumeClaimSpec{DataSourceRef: ref(new("ns"))}, updated: true, refs: true},
	} {
		var old *corev1.PersistentVolumeClaimSpec
		if test.updated {
			old = &test.was
		}
		settleSources(&test.now, old)
		if (test.now.DataSource != nil) != test.has || (test.now.DataSourceRef != nil) != test.refs {
			t.Errorf("%s: %v and %v", test.name, test.now.DataSource, test.now.DataSourceRef)
		}
	}
}

func TestStatusOfClaimsIsJudged(t *testing.T) {
	for _, test := range []struct {
		name   string
		status corev1.PersistentVolumeClaimStatus
		want   []string
	}{
		{"nothing", corev1.PersistentVolumeClaimStatus{}, nil},
		{"a size", corev1.PersistentVolumeClaimStatus{Capacity: corev1.ResourceList{"storage": resource.MustParse("0")}}, nil},
		{"less than nothing", corev1.PersistentVolumeClaimStatus{Capacity: corev1.ResourceList{"storage": resource.MustParse("-1")}}, []string{"status.capacity[storage]: FieldValueInvalid"}},
		{"growing", corev1.PersistentVolumeClaimStatus{AllocatedResourceStatuses: map[corev1.ResourceName]corev1.ClaimResourceStatus{"storage": corev1.PersistentVolumeClaimNodeResizePending}}, nil},
		{"dancing", corev1.PersistentVolumeClaimStatus{AllocatedResourceStatuses: map[corev1.ResourceName]corev1.ClaimResourceStatus{"storage": "Dancing"}}, []string{"status.allocatedResourceStatuses: FieldValueNotSupported"}},
		{"a resource of one's own", corev1.PersistentVolumeClaimStatus{AllocatedResources: corev1.ResourceList{"example.com/iops": resource.MustParse("1")}}, nil},
		{"memory", corev1.PersistentVolumeClaimStatus{AllocatedResources: corev1.ResourceList{"memory": resource.MustParse("1")}}, []string{"status.allocatedResources: FieldValueNotSupported"}},
	} {
		if got := fieldsOf(validateClaimStatus(aClaim(func(c *corev1.PersistentVolumeClaim) { c.Status = test.status }))); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestVolumesWarnOfWhatIsOld(t *testing.T) {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.BetaStorageClassAnnotation: "c", corev1.MountOptionAnnotation: "ro"}}}
	v.Spec.PersistentVolumeReclaimPolicy, v.Spec.Capacity = corev1.PersistentVolumeReclaimRecycle, corev1.ResourceList{"storage": resource.MustParse("1500m")}
	v.Spec.RBD, v.Spec.ScaleIO = &corev1.RBDPersistentVolumeSource{}, &corev1.ScaleIOPersistentVolumeSource{}
	got := warnVolume(t.Context(), v, nil)
	want := []string{"storage-class]: deprecated", "mount-options]: deprecated", "Recycle", "spec.scaleIO: deprecated", "spec.rbd: deprecated"}
	if len(got) != len(want) {
		t.Fatalf("%d warnings, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}
