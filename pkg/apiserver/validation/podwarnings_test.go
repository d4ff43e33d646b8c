package validation

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func port(name string, number, host int32, ip string) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: number, HostPort: host, HostIP: ip, Protocol: corev1.ProtocolTCP}
}

func TestPodsAreWarnedOfPortsInEachOthersWay(t *testing.T) {
	with := func(lists ...[]corev1.ContainerPort) *corev1.PodSpec {
		s := &corev1.PodSpec{}
		for _, l := range lists {
			s.Containers = append(s.Containers, corev1.Container{Ports: l})
		}
		return s
	}
	across := with([]corev1.ContainerPort{port("", 80, 0, "")})
	across.InitContainers = []corev1.Container{{Ports: []corev1.ContainerPort{port("", 80, 0, "")}}}
	across.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Ports: []corev1.ContainerPort{port("", 80, 0, "")}}}}
	for name, c := range map[string]struct {
		spec *corev1.PodSpec
		want []string
	}{
		"apart": {with([]corev1.ContainerPort{port("a", 80, 1, ""), port("b", 81, 2, "")}), nil},
		"over all kinds of containers": {across, []string{
			"spec.containers[0].ports[0]: duplicate port definition with spec.initContainers[0].ports[0]",
			"spec.ephemeralContainers[0].ports[0]: duplicate port definition with spec.initContainers[0].ports[0]",
			"spec.ephemeralContainers[0].ports[0]: duplicate port definition with spec.containers[0].ports[0]"}},
		"overlapping": {with([]corev1.ContainerPort{port("", 80, 1, "")}, []corev1.ContainerPort{port("", 80, 0, "")}), []string{
			"spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]"}},
		"ambiguous": {with([]corev1.ContainerPort{port("", 80, 1, ""), port("", 80, 1, "10.0.0.1")}), []string{
			"spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"}},
		"different addresses": {with([]corev1.ContainerPort{port("", 80, 1, "10.0.0.2"), port("", 80, 1, "10.0.0.1")}), nil},
		"an address alone": {with([]corev1.ContainerPort{port("a", 80, 0, "10.0.0.1")}), []string{
			"spec.containers[0].ports[0]: hostIP set without hostPort: {Name:a HostPort:0 ContainerPort:80 Protocol:TCP HostIP:10.0.0.1}"}},
		"one name twice": {with([]corev1.ContainerPort{port("a", 80, 0, "")}, []corev1.ContainerPort{port("a", 81, 0, "")}), []string{
			`spec.containers[1].ports[0]: duplicate port name "a" with spec.containers[0].ports[0], ` +
				"services and probes that select ports by name will use spec.containers[0].ports[0]"}},
	} {
		if got := PodWarnings(nil, &metav1.ObjectMeta{}, c.spec); !slices.Equal(got, c.want) {
			t.Errorf("%s: said\n%s", name, strings.Join(got, "\n"))
		}
	}
}

func TestAsManyPortsAsARequestHoldsAreComparedInNoTime(t *testing.T) {
	for most, ports := range map[int]int{mostPortPairs: 100_000, 3: 3} {
		s := &corev1.PodSpec{Containers: []corev1.Container{{Ports: slices.Repeat([]corev1.ContainerPort{port("", 80, 0, "")}, ports)}}}
		if got := len(PodWarnings(nil, &metav1.ObjectMeta{}, s)); got != most {
			t.Errorf("%d ports gave %d warnings, want %d", ports, got, most)
		}
	}
}

func TestAsManyPathsAsARequestHoldsAreComparedInNoTime(t *testing.T) {
	for most, paths := range map[int]int{mostPathPairs: 40_000, 3: 3} {
		s := &corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			Items: slices.Repeat([]corev1.KeyToPath{{Key: "k", Path: "p"}}, paths),
		}}}}}
		if got := len(PodWarnings(nil, &metav1.ObjectMeta{}, s)); got != most {
			t.Errorf("%d paths gave %d warnings, want %d", paths, got, most)
		}
	}
}

func TestPodsAreWarnedOfAnnotationsWithoutTheirFields(t *testing.T) {
	profile := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	const pod, one = "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]", "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]"
	annotations := map[string]string{}
	for _, key := range []string{"seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/c",
		"container.seccomp.security.alpha.kubernetes.io/none", "security.alpha.kubernetes.io/sysctls", "security.alpha.kubernetes.io/unsafe-sysctls"} {
		annotations[key] = "x"
	}
	sysctls := []string{`metadata.annotations[security.alpha.kubernetes.io/sysctls]: non-functional in v1.11+; use the "sysctls" field instead`,
		`metadata.annotations[security.alpha.kubernetes.io/unsafe-sysctls]: non-functional in v1.11+; use the "sysctls" field instead`}
	for name, c := range map[string]struct {
		pod, one *corev1.SeccompProfile
		want     []string
	}{
		"no field":        {nil, nil, []string{pod, one}},
		"the pod's field": {profile, nil, []string{one}},
		"both fields":     {profile, profile, nil},
	} {
		spec := &corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{SeccompProfile: c.pod},
			Containers: []corev1.Container{{Name: "c", SecurityContext: &corev1.SecurityContext{SeccompProfile: c.one}}}}
		want := slices.Clone(sysctls)
		for _, at := range c.want {
			want = append(want, at+`: non-functional in v1.27+; use the "seccompProfile" field instead`)
		}
		if got := PodWarnings(nil, &metav1.ObjectMeta{Annotations: annotations}, spec); !slices.Equal(got, want) {
			t.Errorf("%s: said\n%s", name, strings.Join(got, "\n"))
		}
	}
}

func TestPodsAreWarnedOfHiddenVariables(t *testing.T) {
	for name, c := range map[string]struct {
		later corev1.EnvVar
		warns bool
	}{
		"another value":      {corev1.EnvVar{Value: "b"}, true},
		"one that adds":      {corev1.EnvVar{Value: "$(A) $(A)"}, false},
		"the same again":     {corev1.EnvVar{Value: "$(A)"}, true},
		"from another place": {corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{}}, true},
	} {
		c.later.Name = "A"
		spec := &corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Env: []corev1.EnvVar{{Name: "A", Value: "a"}, c.later}}}}}
		var want []string
		if c.warns {
			want = []string{`spec.ephemeralContainers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`}
		}
		if got := PodWarnings(nil, &metav1.ObjectMeta{}, spec); !slices.Equal(got, want) {
			t.Errorf("%s: said %q", name, got)
		}
	}
}

func TestPodsAreWarnedOfProjectedFilesThatHideEachOther(t *testing.T) {
	token := corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "a/b"}}
	files := corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "m"},
		Items: []corev1.KeyToPath{{Path: "a/"}, {Path: "a"}, {Path: "ab"}}}}
	certificate := corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{KeyPath: "ab/k"}}
	for name, c := range map[string]struct {
		sources []corev1.VolumeProjection
		want    []string
	}{
		"one source": {[]corev1.VolumeProjection{token}, nil},
		"of two sources and within one": {[]corev1.VolumeProjection{token, files}, []string{
			`volume "v" (Projected): overlapping paths: "a" (ConfigMap "m") with "a/b" (ServiceAccountToken)`,
			`volume "v" (Projected): overlapping paths: "a" (ConfigMap "m") with "a/b" (ServiceAccountToken)`,
			`volume "v" (Projected): overlapping paths: "a" (ConfigMap "m") with "a" (ConfigMap "m")`}},
		"of a certificate": {[]corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{Items: []corev1.KeyToPath{{Path: "ab"}}}}, certificate}, []string{
			`volume "v" (Projected): overlapping paths: "ab/k" (PodCertificate key) with "ab" (ConfigMap "")`}},
		"no source": {[]corev1.VolumeProjection{{}}, []string{`volume "v" (Projected) has no sources provided`}},
	} {
		spec := &corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: c.sources}}}}}
		if got := PodWarnings(nil, &metav1.ObjectMeta{}, spec); !slices.Equal(got, c.want) {
			t.Errorf("%s: said\n%s", name, strings.Join(got, "\n"))
		}
	}
}

// TestPodsAreWarnedInOrder holds what is warned of, and in which order, against a template with all of it.
func TestPodsAreWarnedInOrder(t *testing.T) {
	fraction, claim := resource.MustParse("100m"), corev1.PersistentVolumeClaimSpec{}
	part := corev1.ResourceList{corev1.ResourceMemory: fraction, corev1.ResourceEphemeralStorage: fraction, corev1.ResourceStorage: fraction, corev1.ResourceCPU: fraction}
	claim.Resources = corev1.VolumeResourceRequirements{Requests: part, Limits: part}
	expression := func(key string, operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	files := &corev1.ConfigMapVolumeSource{Items: []corev1.KeyToPath{{Path: "a"}, {Path: "a"}}}
	spec := &corev1.PodSpec{
		NodeSelector: map[string]string{"node-role.kubernetes.io/master": "", "beta.kubernetes.io/os": "", "app.kubernetes.io/created-by": ""},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{expression("a", "In", "-")}},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Preference: expression("scheduler.alpha.kubernetes.io/preferAvoidPods", "Gt", "-", strings.Repeat("-", 64))}},
		}},
		Volumes: []corev1.Volume{
			{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: files}},
			{Name: "e", VolumeSource: corev1.VolumeSource{
				Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim}},
				Glusterfs: &corev1.GlusterfsVolumeSource{}, CephFS: &corev1.CephFSVolumeSource{}}},
		},
		ImagePullSecrets: []corev1.LocalObjectReference{{}, {}},
		ReadinessGates:   []corev1.PodReadinessGate{{ConditionType: "c"}, {ConditionType: "c"}},
		Overhead:         part,
		Resources:        &corev1.ResourceRequirements{Limits: part},
		SecurityContext:  &corev1.PodSecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}},
		Containers:       []corev1.Container{{Name: "a", Resources: corev1.ResourceRequirements{Limits: part, Requests: part}}, {Name: "b"}},
	}
	const armor = "container.apparmor.security.beta.kubernetes.io/"
	meta := &metav1.ObjectMeta{Annotations: map[string]string{armor + "a": "runtime/default", armor + "b": "unconfined"}}
	const inBytes = `: fractional byte value "100m" is invalid, must be an integer`
	values := "t.spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]"
	letters := " is invalid, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
		"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	want := []string{
		"t.spec.nodeSelector[app.kubernetes.io/created-by]: deprecated since v1.9",
		`t.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`,
		`t.spec.nodeSelector[node-role.kubernetes.io/master]: use "node-role.kubernetes.io/control-plane" instead`,
		values + ".key: scheduler.alpha.kubernetes.io/preferAvoidPods is deprecated since v1.22; use Taints and Tolerations instead",
		values + ".values[0]: -" + letters,
		values + ".values[1]: " + strings.Repeat("-", 64) + " is invalid, must be no more than 63 bytes",
		values + ".values[1]: " + strings.Repeat("-", 64) + letters,
		"t.spec.volumes[1].glusterfs: deprecated in v1.25, non-functional in v1.26+",
		"t.spec.volumes[1].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]" + inBytes,
		"t.spec.volumes[1].ephemeral.volumeClaimTemplate.spec.resources.limits[storage]" + inBytes,
		"t.spec.volumes[1].cephfs: deprecated in v1.28, non-functional in v1.31+",
		`volume "v" (ConfigMap ""): overlapping paths: "a" with "a"`,
		`t.spec.imagePullSecrets[1].name: duplicate name ""`,
		`t.spec.imagePullSecrets[0].name: invalid empty name ""`,
		`t.spec.imagePullSecrets[1].name: invalid empty name ""`,
		"t.spec.overhead[memory]" + inBytes,
		"t.spec.overhead[ephemeral-storage]" + inBytes,
		"t.metadata.annotations[" + armor + `a]: deprecated since v1.30; use the "appArmorProfile" field instead`,
		"t.spec.containers[0].resources.limits[memory]" + inBytes,
		"t.spec.containers[0].resources.requests[memory]" + inBytes,
		"t.spec.containers[0].resources.limits[ephemeral-storage]" + inBytes,
		"t.spec.containers[0].resources.requests[ephemeral-storage]" + inBytes,
	}
	if d := cmp.Diff(want, PodWarnings(field.NewPath("t"), meta, spec)); d != "" {
		t.Errorf("said otherwise (+):\n%s", d)
	}
}
