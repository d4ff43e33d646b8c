package storage

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func fieldsOf(faults field.ErrorList) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

func TestDriversAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	token := func(list ...storagev1.TokenRequest) func(*storagev1.CSIDriverSpec) {
		return func(s *storagev1.CSIDriverSpec) { s.TokenRequests = list }
	}
	lives := func(seconds int64) storagev1.TokenRequest {
		return storagev1.TokenRequest{Audience: "a", ExpirationSeconds: &seconds}
	}
	pause := func(seconds int64) func(*storagev1.CSIDriverSpec) {
		return func(s *storagev1.CSIDriverSpec) { s.NodeAllocatableUpdatePeriodSeconds = &seconds }
	}
	for _, test := range []struct {
		name     string
		was, now func(*storagev1.CSIDriverSpec)
		want     []string
	}{
		{"nothing said", nil, nil, nil},
		{"ten minutes", nil, token(lives(600)), nil},
		{"less", nil, token(lives(599)), []string{"spec.tokenRequests[0].expirationSeconds: FieldValueInvalid"}},
		{"136 years", nil, token(lives(1 << 32)), nil},
		{"more", nil, token(lives(1<<32 + 1)), []string{"spec.tokenRequests[0].expirationSeconds: FieldValueInvalid"}},
		{"two for one audience", nil, token(lives(600), lives(1)), []string{"spec.tokenRequests[1].audience: FieldValueDuplicate"}},
		{"ten seconds", nil, pause(10), nil},
		{"nine seconds", nil, pause(9), []string{"spec.nodeAllocatableUpdatePeriodSeconds: FieldValueInvalid"}},
		{"a place for no tokens", nil, func(s *storagev1.CSIDriverSpec) { s.ServiceAccountTokenInSecrets = new(false) }, []string{"spec.serviceAccountTokenInSecrets: FieldValueInvalid"}},
		{"groups set in no way", nil, func(s *storagev1.CSIDriverSpec) { s.FSGroupPolicy = new(storagev1.FSGroupPolicy("")) }, []string{"spec.fsGroupPolicy: FieldValueNotSupported"}},
		{"no attaching any more", func(*storagev1.CSIDriverSpec) {}, func(s *storagev1.CSIDriverSpec) { s.AttachRequired = new(false) }, []string{"spec.attachedRequired: FieldValueInvalid"}},
		{"groups set otherwise", func(*storagev1.CSIDriverSpec) {}, func(s *storagev1.CSIDriverSpec) { s.FSGroupPolicy = new(storagev1.NoneFSGroupPolicy) }, nil},
		{"another life", func(*storagev1.CSIDriverSpec) {}, func(s *storagev1.CSIDriverSpec) {
			s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}
		}, []string{"spec.volumeLifecycleModes: FieldValueInvalid"}},
	} {
		make := func(edit func(*storagev1.CSIDriverSpec)) *storagev1.CSIDriver {
			d := &storagev1.CSIDriver{}
			if edit != nil {
				edit(&d.Spec)
			}
			defaultDriver(d)
			return d
		}
		var old *storagev1.CSIDriver
		if test.was != nil {
			old = make(test.was)
		}
		if got := fieldsOf(validateDriver(t.Context(), make(test.now), old)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestGenerationOfDriversCountsChanges(t *testing.T) {
	prepare := CSIDriver().Prepare
	old, now := &storagev1.CSIDriver{}, &storagev1.CSIDriver{}
	now.Spec.PreventPodSchedulingIfMissing = new(true)
	if prepare(t.Context(), now, old); now.Generation != 0 || now.Spec.PreventPodSchedulingIfMissing != nil {
		t.Errorf("what is not switched on counts: %d, %v", now.Generation, now.Spec)
	}
	now.Spec.RequiresRepublish = new(true)
	if prepare(t.Context(), now, old); now.Generation != 1 {
		t.Errorf("generation %d after a change", now.Generation)
	}
}

func TestNodesKeepTheirDrivers(t *testing.T) {
	driver := func(name, id string, count int32, keys ...string) storagev1.CSINodeDriver {
		return storagev1.CSINodeDriver{Name: name, NodeID: id, TopologyKeys: keys, Allocatable: &storagev1.VolumeNodeResources{Count: &count}}
	}
	for _, test := range []struct {
		name     string
		was, now []storagev1.CSINodeDriver
		want     []string
	}{
		{"none", nil, nil, nil},
		{"of 256 letters", nil, []storagev1.CSINodeDriver{driver("a", strings.Repeat("n", 256), 0)}, nil},
		{"of 257 letters", nil, []storagev1.CSINodeDriver{driver("a", strings.Repeat("n", 257), 0)}, []string{"spec.drivers[0].nodeID: FieldValueInvalid"}},
		{"room for fewer than none", nil, []storagev1.CSINodeDriver{driver("a", "n", -1)}, []string{"spec.drivers[0].allocatable.count: FieldValueInvalid"}},
		{"one twice", nil, []storagev1.CSINodeDriver{driver("a", "n", 1), driver("a", "n", 1)}, []string{"spec.drivers[1].name: FieldValueDuplicate"}},
		{"a key twice", nil, []storagev1.CSINodeDriver{driver("a", "n", 1, "k", "k")}, []string{"spec.drivers[0]: FieldValueDuplicate"}},
		{"more room", []storagev1.CSINodeDriver{driver("a", "n", 1)}, []storagev1.CSINodeDriver{driver("a", "n", 2)}, nil},
		{"another node", []storagev1.CSINodeDriver{driver("a", "n", 1)}, []storagev1.CSINodeDriver{driver("a", "m", 1)}, []string{"spec.drivers: FieldValueInvalid"}},
		{"one goes and one comes", []storagev1.CSINodeDriver{driver("a", "n", 1)}, []storagev1.CSINodeDriver{driver("b", "m", 1)}, nil},
	} {
		var old *storagev1.CSINode
		if test.was != nil {
			old = &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: test.was}}
		}
		if got := fieldsOf(validateCSINode(t.Context(), &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: test.now}}, old)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func inZone(zone string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: metav1.LabelSelectorOpIn, Values: []string{zone}}}}
}

func TestCapacitiesKeepWhatTheyWereAskedFor(t *testing.T) {
	at := func(zone, class, size string) *storagev1.CSIStorageCapacity {
		q := resource.MustParse(size)
		return &storagev1.CSIStorageCapacity{NodeTopology: inZone(zone), StorageClassName: class, Capacity: &q}
	}
	for _, test := range []struct {
		name     string
		was, now *storagev1.CSIStorageCapacity
		want     []string
	}{
		{"none left", nil, at("a", "c", "0"), nil},
		{"less than none", nil, at("a", "c", "-1"), []string{"capacity: FieldValueInvalid"}},
		{"no class", nil, at("a", "", "1"), []string{"storageClassName: FieldValueInvalid"}},
		{"no label", nil, at("a b", "c", "1"), []string{"nodeTopology.matchExpressions[0].values[0]: FieldValueInvalid"}},
		{"no label, as it stands", at("a b", "c", "1"), at("a b", "c", "2"), nil},
		{"more", at("a", "c", "1"), at("a", "c", "2"), nil},
		{"elsewhere", at("a", "c", "1"), at("b", "c", "1"), []string{"nodeTopology: FieldValueInvalid"}},
		{"of another class", at("a", "c", "1"), at("a", "d", "1"), []string{"storageClassName: FieldValueInvalid"}},
	} {
		if got := fieldsOf(validateStorageCapacity(t.Context(), test.now, test.was)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	odd := at("a", "c", "1")
	odd.MaximumVolumeSize = new(resource.MustParse("-1")) // upstream does not look at it
	if faults := validateStorageCapacity(t.Context(), odd, nil); len(faults) > 0 {
		t.Errorf("a greatest volume of less than nothing: %v", faults)
	}
	old := at("a", "c", "1")
	old.NodeTopology.MatchLabels = map[string]string{"failure-domain.beta.kubernetes.io/zone": "a"}
	old.NodeTopology.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "beta.kubernetes.io/os", Operator: metav1.LabelSelectorOpExists}}
	want := []string{
		`nodeTopology.matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead`,
		`nodeTopology.matchLabels.failure-domain.beta.kubernetes.io/zone: deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	}
	if got := warnStorageCapacity(t.Context(), old, nil); !slices.Equal(got, want) {
		t.Errorf("warnings of old labels: %q, want %q", got, want)
	}
}

func TestAttachmentsAreJudged(t *testing.T) {
	good := func(edit func(*storagev1.VolumeAttachment)) *storagev1.VolumeAttachment {
		a := &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{Attacher: "d", NodeName: "n",
			Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new("v")}}}
		edit(a)
		return a
	}
	fails := func(length int) func(*storagev1.VolumeAttachment) {
		return func(a *storagev1.VolumeAttachment) {
			a.Status.AttachError = &storagev1.VolumeError{Message: strings.Repeat("m", length)}
		}
	}
	tells := func(length int) func(*storagev1.VolumeAttachment) {
		return func(a *storagev1.VolumeAttachment) {
			a.Status.AttachmentMetadata = map[string]string{"k": strings.Repeat("v", length-1)}
		}
	}
	for _, test := range []struct {
		name    string
		edit    func(*storagev1.VolumeAttachment)
		updated bool
		want    []string
	}{
		{"a volume", func(*storagev1.VolumeAttachment) {}, false, nil},
		{"no source", func(a *storagev1.VolumeAttachment) { a.Spec.Source.PersistentVolumeName = nil }, false, []string{"spec.source: FieldValueRequired"}},
		{"an error of 1024 letters", fails(1024), false, nil},
		{"an error of 1025 letters", fails(1025), false, []string{"status.attachError.message: FieldValueTooLong"}},
		{"an error of no known kind", func(a *storagev1.VolumeAttachment) {
			a.Status.AttachError = &storagev1.VolumeError{ErrorCode: new(int32(-1))}
		}, false,
			[]string{"status.attachError.errorCode: FieldValueInvalid"}},
		{"what has no name", func(a *storagev1.VolumeAttachment) { a.Status.AttachmentMetadata = map[string]string{"": "v"} }, false, nil},
		{"256 KiB", tells(256 << 10), false, nil},
		{"a byte more", tells(256<<10 + 1), false, []string{"status.attachmentMetadata: FieldValueTooLong"}},
		{"as before", func(*storagev1.VolumeAttachment) {}, true, nil},
		{"a volume of no name", func(a *storagev1.VolumeAttachment) { a.Spec.Source.PersistentVolumeName = new("A b") }, true,
			[]string{"spec.source.persistentVolumeName: FieldValueInvalid", "spec: FieldValueInvalid"}},
		{"another node", func(a *storagev1.VolumeAttachment) { a.Spec.NodeName = "m" }, true, []string{"spec: FieldValueInvalid"}},
	} {
		var old *storagev1.VolumeAttachment
		if test.updated {
			old = good(func(*storagev1.VolumeAttachment) {})
		}
		if got := fieldsOf(validateAttachment(t.Context(), good(test.edit), old)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestClassesHave512Parameters(t *testing.T) {
	many := map[string]string{}
	for i := range 513 {
		many[strings.Repeat("k", i+1)] = ""
	}
	if got := fieldsOf(validateParameters(field.NewPath("p"), many)); !slices.Equal(got, []string{"p: FieldValueTooLong"}) {
		t.Errorf("513 parameters: %v", got)
	}
	delete(many, "k")
	if got := validateParameters(field.NewPath("p"), many); len(got) > 0 {
		t.Errorf("512 parameters: %v", got)
	}
}

func TestClassesWarnOfOldLabelsOfNodes(t *testing.T) {
	class := &storagev1.StorageClass{AllowedTopologies: []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
		{Key: "beta.kubernetes.io/arch", Values: []string{"a"}}}}}}
	want := []string{`allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.14; use "kubernetes.io/arch" instead`}
	if got := warnClass(t.Context(), class, nil); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFaultsAreWorded(t *testing.T) {
	long := strings.Repeat("m", maxVolumeError+1)
	for _, test := range []struct {
		faults field.ErrorList
		want   string
	}{
		{validateProvisioner(field.NewPath("provisioner"), "A B"), `provisioner: Invalid value: "a b": name part must consist of`},
		{validateVolumeError(field.NewPath("status", "attachError"), &storagev1.VolumeError{Message: long}), "status.attachError.message: Too long: may not be more than 262144 bytes"},
		{validateVolumeError(field.NewPath("status", "attachError"), &storagev1.VolumeError{ErrorCode: new(int32(-1))}),
			"status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive"},
	} {
		if len(test.faults) != 1 || !strings.HasPrefix(test.faults[0].Error(), test.want) {
			t.Errorf("%v, want %q", test.faults, test.want)
		}
	}
}

func TestClassesOfAttributesStay(t *testing.T) {
	old := &storagev1.VolumeAttributesClass{DriverName: "d", Parameters: map[string]string{"a": "b"}}
	got := fieldsOf(VolumeAttributesClass().Validate(t.Context(), &storagev1.VolumeAttributesClass{DriverName: "A b"}, old))
	want := []string{"driverName: FieldValueForbidden", "parameters: FieldValueForbidden", "driverName: FieldValueInvalid", "parameters: FieldValueRequired"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTheUsualClassOfAttributesIsMarked(t *testing.T) {
	class := &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
	row := VolumeAttributesClass().Row
	if got := row(class)[0]; got != "fast" {
		t.Errorf("shown as %v", got)
	}
	class.Annotations = map[string]string{defaultAttributesClass: "true"}
	if got := row(class)[0]; got != "fast (default)" {
		t.Errorf("the usual one is shown as %v", got)
	}
}
