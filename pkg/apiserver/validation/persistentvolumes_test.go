package validation

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func shortly(faults field.ErrorList) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

// aVolume is one that is sound, changed by edit.
func aVolume(edit func(*corev1.PersistentVolumeSpec)) *corev1.PersistentVolumeSpec {
	s := &corev1.PersistentVolumeSpec{
		Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
	}
	edit(s)
	return s
}

func csi(edit func(*corev1.CSIPersistentVolumeSource)) func(*corev1.PersistentVolumeSpec) {
	return func(s *corev1.PersistentVolumeSpec) {
		s.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d.example.com", VolumeHandle: "h"}
		edit(s.CSI)
	}
}

func iscsiVolume(edit func(*corev1.ISCSIPersistentVolumeSource)) func(*corev1.PersistentVolumeSpec) {
	return func(s *corev1.PersistentVolumeSpec) {
		s.ISCSI = &corev1.ISCSIPersistentVolumeSource{TargetPortal: "10.0.0.1:3260", IQN: "iqn.2016-04.test.com:storage.target00"}
		edit(s.ISCSI)
	}
}

func TestPersistentVolumesAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	const invalid, required, forbidden, unsupported = ": FieldValueInvalid", ": FieldValueRequired", ": FieldValueForbidden", ": FieldValueNotSupported"
	path := func(p string) func(*corev1.PersistentVolumeSpec) {
		return func(s *corev1.PersistentVolumeSpec) { s.HostPath = &corev1.HostPathVolumeSource{Path: p} }
	}
	capacity := func(list corev1.ResourceList) func(*corev1.PersistentVolumeSpec) {
		return func(s *corev1.PersistentVolumeSpec) { path("/x")(s); s.Capacity = list }
	}
	modes := func(list ...corev1.PersistentVolumeAccessMode) func(*corev1.PersistentVolumeSpec) {
		return func(s *corev1.PersistentVolumeSpec) { path("/x")(s); s.AccessModes = list }
	}
	secret := func(name, namespace string) *corev1.SecretReference {
		return &corev1.SecretReference{Name: name, Namespace: namespace}
	}
	for _, test := range []struct {
		name string
		edit func(*corev1.PersistentVolumeSpec)
		want []string
	}{
		{"a directory", path("/x"), nil},
		{"a directory above", path("/x/../y"), []string{"s.hostPath.path" + invalid}},
		{"no source", func(*corev1.PersistentVolumeSpec) {}, []string{"s" + required}},
		{"no capacity", capacity(nil), []string{"s.capacity" + required, "s.capacity" + unsupported}},
		{"no storage", capacity(corev1.ResourceList{"storage": resource.MustParse("0")}), []string{"s.capacity[storage]" + invalid}},
		{"a byte of storage", capacity(corev1.ResourceList{"storage": resource.MustParse("1")}), nil},
		{"less than no storage", capacity(corev1.ResourceList{"storage": resource.MustParse("-1")}), []string{"s.capacity[storage]" + invalid, "s.capacity[storage]" + invalid}},
		{"storage and more", capacity(corev1.ResourceList{"storage": resource.MustParse("1"), "cpu": resource.MustParse("1")}), []string{"s.capacity" + unsupported}},
		{"no mode", modes(), []string{"s.accessModes" + required}},
		{"all modes of many pods", modes(corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany), nil},
		{"the mode of one pod", modes(corev1.ReadWriteOncePod), nil},
		{"one pod and many", modes(corev1.ReadWriteOncePod, corev1.ReadOnlyMany), []string{"s.accessModes" + forbidden}},
		{"one pod and a mode that is none", modes(corev1.ReadWriteOncePod, "X"), []string{"s.accessModes" + unsupported}},
		{"recycling a directory", func(s *corev1.PersistentVolumeSpec) { path("/x")(s); s.PersistentVolumeReclaimPolicy = "Recycle" }, nil},
		{"recycling the root", func(s *corev1.PersistentVolumeSpec) { path("/x/..//")(s); s.PersistentVolumeReclaimPolicy = "Recycle" },
			[]string{"s.hostPath.path" + invalid, "s.persistentVolumeReclaimPolicy" + forbidden}},
		{"a local directory of no node", func(s *corev1.PersistentVolumeSpec) { s.Local = &corev1.LocalVolumeSource{Path: "/x"} }, []string{"s.nodeAffinity" + required}},
		{"a local directory of any node", func(s *corev1.PersistentVolumeSpec) {
			s.Local, s.NodeAffinity = &corev1.LocalVolumeSource{Path: "/x"}, &corev1.VolumeNodeAffinity{}
		}, []string{"s.nodeAffinity.required" + required}},
		{"two sources", func(s *corev1.PersistentVolumeSpec) { path("/x")(s); s.CephFS = &corev1.CephFSPersistentVolumeSource{} }, []string{"s.cephFS" + forbidden}},
		{"a source inside", func(s *corev1.PersistentVolumeSpec) { s.CephFS = &corev1.CephFSPersistentVolumeSource{} }, []string{"s.cephfs.monitors" + required}},
		{"a flexible source is never one too many", func(s *corev1.PersistentVolumeSpec) {
			path("/x")(s)
			s.FlexVolume = &corev1.FlexPersistentVolumeSource{Driver: "d"}
		}, nil},
		{"attributes without a driver", func(s *corev1.PersistentVolumeSpec) { path("/x")(s); s.VolumeAttributesClassName = new("a") }, []string{"s.csi" + required}},
		{"attributes of no name", csi(func(*corev1.CSIPersistentVolumeSource) {}), nil},
		{"a secret", csi(func(v *corev1.CSIPersistentVolumeSource) { v.NodePublishSecretRef = secret("n", "ns") }), nil},
		{"a secret of no name", csi(func(v *corev1.CSIPersistentVolumeSource) { v.NodePublishSecretRef = secret("", "N") }),
			[]string{"s.csi.nodePublishSecretRef.name" + required, "s.csi.nodePublishSecretRef.namespace" + invalid}},
		{"a secret for staging is not judged", csi(func(v *corev1.CSIPersistentVolumeSource) { v.NodeStageSecretRef = secret("", "") }), nil},
		{"a driver of 63 letters", csi(func(v *corev1.CSIPersistentVolumeSource) { v.Driver = strings.Repeat("a", 63) }), nil},
		{"a driver of 64 letters", csi(func(v *corev1.CSIPersistentVolumeSource) { v.Driver = strings.Repeat("a", 64) }), []string{"s.csi.driver: FieldValueTooLong"}},
		{"a unit of 255", iscsiVolume(func(v *corev1.ISCSIPersistentVolumeSource) { v.Lun = 255 }), nil},
		{"a unit of 256", iscsiVolume(func(v *corev1.ISCSIPersistentVolumeSource) { v.Lun = 256 }), []string{"s.iscsi.lun" + invalid}},
		{"an initiator of 64 letters", iscsiVolume(func(v *corev1.ISCSIPersistentVolumeSource) {
			v.InitiatorName, v.TargetPortal = new("iqn.2016-04.test.com:a"), strings.Repeat("p", 61)
		}), nil},
		{"an initiator of 65 letters", iscsiVolume(func(v *corev1.ISCSIPersistentVolumeSource) {
			v.InitiatorName, v.TargetPortal = new("iqn.2016-04.test.com:a"), strings.Repeat("p", 62)
		}), []string{"s.iscsi.targetportal" + invalid}},
		{"a login without its secret", iscsiVolume(func(v *corev1.ISCSIPersistentVolumeSource) { v.SessionCHAPAuth = true }), []string{"s.iscsi.secretRef" + required}},
	} {
		if got := shortly(PersistentVolumeSpec(field.NewPath("s"), aVolume(test.edit), "pv", false)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestVolumesInAttachmentsSayOnlyWhatTheirDriverMustKnow(t *testing.T) {
	full := aVolume(csi(func(*corev1.CSIPersistentVolumeSource) {}))
	full.ClaimRef, full.StorageClassName, full.NodeAffinity = &corev1.ObjectReference{}, "c", &corev1.VolumeNodeAffinity{}
	full.PersistentVolumeReclaimPolicy, full.VolumeMode = corev1.PersistentVolumeReclaimDelete, new(corev1.PersistentVolumeBlock)
	want := []string{"s.claimRef", "s.capacity", "s.persistentVolumeReclaimPolicy", "s.nodeAffinity", "s.storageClassName", "s.volumeMode"}
	for i := range want {
		want[i] += ": FieldValueForbidden"
	}
	if got := shortly(InlineVolumeSpec(field.NewPath("s"), full)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	bare := aVolume(csi(func(*corev1.CSIPersistentVolumeSource) {}))
	bare.Capacity = nil
	bare.VolumeAttributesClassName = new("") // not judged here
	if got := InlineVolumeSpec(field.NewPath("s"), bare); len(got) > 0 {
		t.Errorf("a volume of a driver is refused: %v", got)
	}
	local := aVolume(func(s *corev1.PersistentVolumeSpec) {
		s.Local, s.HostPath, s.NodeAffinity = &corev1.LocalVolumeSource{Path: "/p"}, nil, &corev1.VolumeNodeAffinity{}
	})
	local.Capacity = nil
	if got, want := shortly(InlineVolumeSpec(field.NewPath("s"), local)), []string{"s.csi: FieldValueRequired", "s.nodeAffinity: FieldValueForbidden", "s.nodeAffinity: FieldValueRequired"}; !slices.Equal(got, want) {
		t.Errorf("a disk of a node: %q, want %q", got, want)
	}
	root := aVolume(func(s *corev1.PersistentVolumeSpec) {
		s.HostPath, s.PersistentVolumeReclaimPolicy, s.Capacity = &corev1.HostPathVolumeSource{Path: "/"}, corev1.PersistentVolumeReclaimRecycle, nil
	})
	if got, want := shortly(InlineVolumeSpec(field.NewPath("s"), root)), []string{"s.csi: FieldValueRequired", "s.persistentVolumeReclaimPolicy: FieldValueForbidden",
		"s.persistentVolumeReclaimPolicy: FieldValueForbidden"}; !slices.Equal(got, want) {
		t.Errorf("the root of a node: %q, want %q", got, want)
	}
	odd := aVolume(iscsiVolume(func(s *corev1.ISCSIPersistentVolumeSource) { s.IQN, s.InitiatorName = "odd", new("odd") }))
	odd.Capacity = nil
	if got, want := said(InlineVolumeSpec(field.NewPath("s"), odd)), []string{"s.csi: has to be specified in the context of inline volumes", "s.iscsi.iqn: must be valid format", "s.iscsi.initiatorname: must be valid format"}; !slices.Equal(got, want) {
		t.Errorf("names of no form: %q, want %q", got, want)
	}
}

func TestClaimsAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	const invalid, required = ": FieldValueInvalid", ": FieldValueRequired"
	sized := func(size string) func(*corev1.PersistentVolumeClaimSpec) {
		return func(s *corev1.PersistentVolumeClaimSpec) { s.Resources.Requests["storage"] = resource.MustParse(size) }
	}
	ref := func(group, kind, namespace string) func(*corev1.PersistentVolumeClaimSpec) {
		return func(s *corev1.PersistentVolumeClaimSpec) {
			s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: &group, Kind: kind, Name: "n"}
			if namespace != "" {
				s.DataSourceRef.Namespace = &namespace
			}
		}
	}
	both := func(name string, edit func(*corev1.PersistentVolumeClaimSpec)) func(*corev1.PersistentVolumeClaimSpec) {
		return func(s *corev1.PersistentVolumeClaimSpec) {
			s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: new("g"), Kind: "K", Name: name}
			edit(s)
		}
	}
	wild := func(s *corev1.PersistentVolumeClaimSpec) {
		s.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"b c"}}}}
	}
	for _, test := range []struct {
		name    string
		edit    func(*corev1.PersistentVolumeClaimSpec)
		options ClaimOptions
		want    []string
	}{
		{"a byte", sized("1"), ClaimOptions{}, nil},
		{"nothing", sized("0"), ClaimOptions{}, []string{"s.resources[storage]" + invalid}},
		{"no size", func(s *corev1.PersistentVolumeClaimSpec) { s.Resources.Requests = nil }, ClaimOptions{}, []string{"s.resources[storage]" + required}},
		{"a claim as source", ref("", "PersistentVolumeClaim", ""), ClaimOptions{}, nil},
		{"a pod as source", ref("", "Pod", ""), ClaimOptions{}, []string{"s.dataSourceRef" + invalid}},
		{"a source of a group", ref("g", "K", ""), ClaimOptions{}, nil},
		{"a source of a bad group", ref("G", "K", ""), ClaimOptions{}, []string{"s.dataSourceRef.apiGroup" + invalid}},
		{"a source of a bad group that stands", ref("G", "K", ""), ClaimOptions{LooseGroup: true}, nil},
		{"the same source twice", both("n", ref("g", "K", "")), ClaimOptions{}, nil},
		{"two sources", both("m", ref("g", "K", "")), ClaimOptions{}, []string{"s" + invalid}},
		{"a source elsewhere", ref("g", "K", "ns"), ClaimOptions{}, nil},
		{"a source elsewhere and here", both("n", ref("g", "K", "ns")), ClaimOptions{}, []string{"s" + invalid}},
		{"a selector that matches nothing", wild, ClaimOptions{}, []string{"s.selector.matchExpressions[0].values[0]" + invalid}},
		{"a selector that matches nothing and stands", wild, ClaimOptions{LooseSelector: true}, nil},
	} {
		s := &corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}}
		s.Resources.Requests = corev1.ResourceList{"storage": resource.MustParse("1Gi")}
		test.edit(s)
		if got := shortly(ClaimSpec(field.NewPath("s"), s, test.options)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
