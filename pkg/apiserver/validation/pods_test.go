package validation

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/defaults"
)

// aPod is one that is sound, changed by edits.
func aPod(edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}}
	for _, edit := range edits {
		if edit != nil {
			edit(pod)
		}
	}
	defaults.Pod(pod)
	return pod
}

// spec makes an edit of a pod out of one of its spec.
func spec(edit func(*corev1.PodSpec)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { edit(&pod.Spec) }
}

func first(edit func(*corev1.Container)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { edit(&pod.Spec.Containers[0]) }
}

// beforeAll adds an init container.
func beforeAll(edit func(*corev1.Container)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		c := corev1.Container{Name: "i", Image: "i"}
		edit(&c)
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
}

func withVolumes(list ...corev1.Volume) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Volumes = list }
}

func limits(amounts ...string) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Limits: corev1.ResourceList{}}
	for i := 0; i < len(amounts); i += 2 {
		r.Limits[corev1.ResourceName(amounts[i])] = resource.MustParse(amounts[i+1])
	}
	return r
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, value) }
}

// said is where faults are and what is said of them.
func said(faults field.ErrorList) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field+": "+f.Detail)
	}
	return list
}

type podCase struct {
	name string
	edit func(*corev1.Pod)
	want []string
}

func judged(t *testing.T, tests []podCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := said(Pod(t.Context(), aPod(test.edit))); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestPodResourcesAreJudged(t *testing.T) {
	claims := func(list ...corev1.ResourceClaim) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "r", ResourceClaimName: new("r")}}
			pod.Spec.Containers[0].Resources.Claims = list
		}
	}
	const c = "spec.containers[0].resources."
	judged(t, []podCase{
		{"whole pages", first(func(c *corev1.Container) { c.Resources = limits("hugepages-2Mi", "4Mi", "memory", "1Gi") }), nil},
		{"a part of a page", first(func(c *corev1.Container) { c.Resources = limits("hugepages-2Mi", "3Mi", "memory", "1Gi") }),
			[]string{c + "limits[hugepages-2Mi]: 3Mi is not positive integer multiple of hugepages-2Mi", c + "requests[hugepages-2Mi]: 3Mi is not positive integer multiple of hugepages-2Mi"}},
		{"one request", claims(corev1.ResourceClaim{Name: "r", Request: "a"}, corev1.ResourceClaim{Name: "r", Request: "b"}), nil},
		{"one request twice", claims(corev1.ResourceClaim{Name: "r", Request: "a"}, corev1.ResourceClaim{Name: "r", Request: "a"}), []string{c + "claims[1]: "}},
		{"the whole and a part", claims(corev1.ResourceClaim{Name: "r", Request: "a"}, corev1.ResourceClaim{Name: "r"}), []string{c + "claims[1]: "}},
		{"no restarts for a pod that never does", spec(func(s *corev1.PodSpec) {
			s.RestartPolicy = corev1.RestartPolicyNever
			s.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.RestartContainer}}
		}), []string{"spec.containers[0].resizePolicy: must be 'NotRequired' when pod `restartPolicy` is 'Never'"}},
		{"no word of restarts for a pod that never does", spec(func(s *corev1.PodSpec) {
			s.RestartPolicy = corev1.RestartPolicyNever
			s.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu"}}
		}), []string{"spec.containers[0].resizePolicy: ", "spec.containers[0].resizePolicy: must be 'NotRequired' when pod `restartPolicy` is 'Never'"}},
		{"rules of restarts that say nothing", first(func(c *corev1.Container) { c.RestartPolicyRules = []corev1.ContainerRestartRule{{}} }),
			[]string{"spec.containers[0].restartPolicy: must specify restartPolicy when restart rules are used",
				`spec.containers[0].restartPolicyRules[0].action: supported values: "Restart", "RestartAllContainers"`,
				"spec.containers[0].restartPolicyRules[0].exitCodes: must be specified"}},
		{"rules of restarts that say nothing, at the start", beforeAll(func(c *corev1.Container) { c.RestartPolicyRules = []corev1.ContainerRestartRule{{}} }),
			[]string{"spec.initContainers[0].restartPolicy: must specify restartPolicy when restart rules are used"}},
		{"no restarts of what starts once", beforeAll(func(c *corev1.Container) {
			c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.RestartContainer}}
		}), []string{"spec.initContainers[0].resizePolicy[0].restartPolicy: must not be set to 'RestartContainer' for non-sidecar initContainers"}},
	})
}

func TestPodPlacementIsJudged(t *testing.T) {
	nodes := func(edit func(*corev1.NodeAffinity)) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
			edit(pod.Spec.Affinity.NodeAffinity)
		}
	}
	bad := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "k", Operator: corev1.NodeSelectorOpGt, Values: []string{"-1"}}}}
	const label = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	judged(t, []podCase{
		{"more than none", nodes(func(a *corev1.NodeAffinity) {
			a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{bad}}
		}), []string{"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values[0]: " + label}},
		{"preferably more than none", nodes(func(a *corev1.NodeAffinity) {
			a.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: bad}}
		}), nil},
		{"a key twice", spec(func(s *corev1.PodSpec) {
			s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "t", WhenUnsatisfiable: corev1.DoNotSchedule, MatchLabelKeys: []string{"k"},
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"k": "v"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: metav1.LabelSelectorOpIn, Values: []string{"v"}}}}}}
		}), []string{"spec.topologySpreadConstraints[0][0]: exists in both matchLabelKeys and labelSelector"}},
		{"taints that count", spec(func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpLt, Value: "1"}}
		}),
			[]string{`spec.tolerations[0].operator: supported values: "Equal", "Exists", "Lt", "Gt"`}},
	})
}

func TestPodVolumesAreJudged(t *testing.T) {
	const kind = "may not specify more than 1 volume type"
	projected := func(list ...corev1.VolumeProjection) func(*corev1.Pod) {
		return withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: list}}})
	}
	secret := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}
	config := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}
	judged(t, []podCase{
		{"a second kind", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}, DownwardAPI: &corev1.DownwardAPIVolumeSource{}}}),
			[]string{"spec.volumes[0].downwarAPI: " + kind}},
		{"a third kind", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}, GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}, CephFS: &corev1.CephFSVolumeSource{}}}),
			[]string{"spec.volumes[0].gcePersistentDisk: " + kind, "spec.volumes[0].cephFS: " + kind}},
		{"three in one source", projected(corev1.VolumeProjection{Secret: secret, ConfigMap: config, DownwardAPI: &corev1.DownwardAPIProjection{}}),
			[]string{"spec.volumes[0].projected.sources[0]: " + kind + " per source"}},
		{"an odd place of the node", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/p", Type: new(corev1.HostPathType("Odd"))}}}),
			[]string{`spec.volumes[0].hostPath.type: supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"`}},
		{"an odd disk of the network", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "p", IQN: "odd"}}}),
			[]string{"spec.volumes[0].iscsi.iqn: must be valid format starting with iqn, eui, or naa"}},
		{"no image", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}}}), []string{"spec.volumes[0].image.reference: "}},
		{"a driver's secret", withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d", NodePublishSecretRef: &corev1.LocalObjectReference{}}}}),
			[]string{"spec.volumes[0].csi.nodePublishSecretRef.name: "}},
	})
}

func TestTemplatesMayHaveVolumesOfNoImage(t *testing.T) {
	pod := aPod(withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{PullPolicy: corev1.PullAlways}}}))
	if got := PodTemplate(field.NewPath("template"), &corev1.PodTemplateSpec{Spec: pod.Spec}, PodOptions{}); len(got) > 0 {
		t.Errorf("refused: %v", got)
	}
}

func TestPodSecurityIsJudged(t *testing.T) {
	linux := func(edit func(*corev1.PodSecurityContext)) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
			edit(pod.Spec.SecurityContext)
		}
	}
	judged(t, []podCase{
		{"a user namespace and devices", spec(func(s *corev1.PodSpec) {
			s.HostUsers = new(false)
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "v"}}}}
			s.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "v", DevicePath: "/dev/v"}}
		}), []string{"spec.containers[0].volumeDevices: when `hostUsers` is false"}},
		{"labels of volumes on windows", func(pod *corev1.Pod) {
			pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
			linux(func(s *corev1.PodSecurityContext) { s.SELinuxChangePolicy = new(corev1.SELinuxChangePolicyRecursive) })(pod)
		}, []string{"spec.securityContext.seLinuxChangePolicy: cannot be set for a windows pod"}},
		{"no system", spec(func(s *corev1.PodSpec) { s.OS = &corev1.PodOS{} }), []string{"spec.os.name: "}},
		{"no profile", annotated(corev1.SeccompPodAnnotationKey, "no"), []string{"metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: must be a valid seccomp profile"}},
		{"two profiles", func(pod *corev1.Pod) {
			annotated(corev1.SeccompPodAnnotationKey, "unconfined")(pod)
			linux(func(s *corev1.PodSecurityContext) {
				s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
			})(pod)
		}, []string{"spec.securityContext.seccompProfile.type: seccomp type in annotation and field must match"}},
	})
}

func TestWhatPodsMayChange(t *testing.T) {
	choice := func(v string) func(*corev1.Pod) {
		return spec(func(s *corev1.PodSpec) {
			s.NodeSelector, s.SchedulingGates = map[string]string{"a": v}, []corev1.PodSchedulingGate{{Name: "g"}}
		})
	}
	gates := func(list ...string) func(*corev1.Pod) {
		return spec(func(s *corev1.PodSpec) {
			for _, g := range list {
				s.SchedulingGates = append(s.SchedulingGates, corev1.PodSchedulingGate{Name: g})
			}
		})
	}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.Pod)
		want     []string
	}{
		{"where it waits to run", choice("b"), choice("c"), []string{"spec.nodeSelector: only additions to spec.nodeSelector are allowed (no mutations or deletions)"}},
		{"fewer gates", gates("a", "b"), gates("b"), nil},
		{"another gate twice", gates("a"), gates("b", "a", "b"), []string{"spec.schedulingGates[2]: ", "spec.schedulingGates[2].name: only deletion is allowed, but found new scheduling gate 'b'"}},
		{"another gate", gates("a"), gates("a", "b"), []string{"spec.schedulingGates[1].name: only deletion is allowed, but found new scheduling gate 'b'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := said(PodUpdate(t.Context(), aPod(test.now), aPod(test.was), false)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
