package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxRestartRules     = 20
	maxRestartExitCodes = 255
	onlySidecars        = "may not be set for init containers without restartPolicy=Always"
	notOnEphemeral      = "cannot be set for an Ephemeral Container"
)

// surroundings is what containers are judged by beside themselves.
type surroundings struct {
	spec    *corev1.PodSpec
	volumes map[string]corev1.VolumeSource
	claims  sets.Set[string]
	grace   int64
	options PodOptions
}

func containers(path *field.Path, s *surroundings) field.ErrorList {
	list := s.spec.Containers
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var faults field.ErrorList
	names := sets.New[string]()
	for i := range list {
		c, at := &list[i], path.Index(i)
		faults = append(faults, container(at, c, s)...)
		if names.Has(c.Name) {
			faults = append(faults, field.Duplicate(at.Child("name"), c.Name))
		} else {
			names.Insert(c.Name)
		}
		faults = append(faults, lifecycle(at.Child("lifecycle"), c.Lifecycle, s.grace, s.spec.OS)...)
		faults = append(faults, probes(at, c, s.grace)...)
		faults = append(faults, containerRestart(at, c)...)
		faults = append(faults, restartRules(at.Child("restartPolicyRules"), c.RestartPolicyRules)...)
	}
	return append(faults, hostPortConflicts(path, list)...)
}

func initContainers(path *field.Path, s *surroundings) field.ErrorList {
	var faults field.ErrorList
	names := sets.New[string]()
	for _, c := range s.spec.Containers {
		names.Insert(c.Name)
	}
	for i := range s.spec.InitContainers {
		c, at := &s.spec.InitContainers[i], path.Index(i)
		faults = append(faults, container(at, c, s)...)
		faults = append(faults, containerRestart(at, c)...)
		if c.RestartPolicy != nil { // where it is missing, its rules are not judged either
			faults = append(faults, restartRules(at.Child("restartPolicyRules"), c.RestartPolicyRules)...)
		}
		if names.Has(c.Name) {
			faults = append(faults, field.Duplicate(at.Child("name"), c.Name))
		} else if c.Name != "" {
			names.Insert(c.Name)
		}
		// They run one after another, so only ports of the same one can conflict.
		faults = append(faults, hostPortConflicts(path, []corev1.Container{*c})...)
		if IsSidecar(c) {
			faults = append(faults, lifecycle(at.Child("lifecycle"), c.Lifecycle, s.grace, s.spec.OS)...)
			faults = append(faults, probes(at, c, s.grace)...)
		} else {
			faults = append(faults, onlyStarts(at, c, s.options)...)
		}
	}
	return faults
}

// onlyStarts refuses what makes no sense of an init container that ends before the others begin.
func onlyStarts(path *field.Path, c *corev1.Container, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	forbid := func(name string, found bool) {
		if found {
			faults = append(faults, field.Forbidden(path.Child(name), onlySidecars))
		}
	}
	forbid("lifecycle", c.Lifecycle != nil)
	forbid("livenessProbe", c.LivenessProbe != nil)
	forbid("readinessProbe", c.ReadinessProbe != nil)
	forbid("startupProbe", c.StartupProbe != nil)
	for i, p := range c.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer && !options.InitRestarts {
			faults = append(faults, field.Invalid(path.Child("resizePolicy").Index(i).Child("restartPolicy"), p.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
	return faults
}

// IsSidecar says whether an init container keeps running beside the others.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// container judges what every kind of container has.
func container(path *field.Path, c *corev1.Container, s *surroundings) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, FilledWith(path.Child("name"), c.Name, DNSLabel)...)
	faults = append(faults, Filled(path.Child("image"), c.Image)...)
	faults = append(faults, OneOf(path.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	faults = append(faults, containerPorts(path.Child("ports"), c.Ports)...)
	faults = append(faults, env(path.Child("env"), c.Env)...)
	faults = append(faults, envFrom(path.Child("envFrom"), c.EnvFrom)...)
	faults = append(faults, volumeMounts(path.Child("volumeMounts"), c, s.volumes)...)
	faults = append(faults, volumeDevices(path.Child("volumeDevices"), c, s.volumes)...)
	faults = append(faults, OneOf(path.Child("imagePullPolicy"), c.ImagePullPolicy,
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	faults = append(faults, containerResourcesOf(path.Child("resources"), &c.Resources, s)...)
	faults = append(faults, resizePolicy(path.Child("resizePolicy"), c, s.spec.RestartPolicy)...)
	return append(faults, securityContext(path.Child("securityContext"), c.SecurityContext, s.spec.HostUsers, s.options)...)
}

func containerPorts(path *field.Path, ports []corev1.ContainerPort) field.ErrorList {
	var faults field.ErrorList
	names := sets.New[string]()
	for i, p := range ports {
		at := path.Index(i)
		if p.Name != "" {
			if texts := utilvalidation.IsValidPortName(p.Name); len(texts) > 0 {
				faults = append(faults, Invalid(at.Child("name"), p.Name, texts)...)
			} else if names.Has(p.Name) {
				faults = append(faults, field.Duplicate(at.Child("name"), p.Name))
			} else {
				names.Insert(p.Name)
			}
		}
		if p.ContainerPort == 0 {
			faults = append(faults, field.Required(at.Child("containerPort"), ""))
		} else {
			faults = append(faults, Invalid(at.Child("containerPort"), p.ContainerPort, utilvalidation.IsValidPortNum(int(p.ContainerPort)))...)
		}
		if p.HostPort != 0 {
			faults = append(faults, Invalid(at.Child("hostPort"), p.HostPort, utilvalidation.IsValidPortNum(int(p.HostPort)))...)
		}
		faults = append(faults, OneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return faults
}

func hostPortConflicts(path *field.Path, list []corev1.Container) field.ErrorList {
	var faults field.ErrorList
	taken := sets.New[string]()
	for i := range list {
		for j, p := range list[i].Ports {
			if p.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			if taken.Has(key) {
				faults = append(faults, field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			taken.Insert(key)
		}
	}
	return faults
}

func containerRestart(path *field.Path, c *corev1.Container) field.ErrorList {
	policy := path.Child("restartPolicy")
	if c.RestartPolicy != nil {
		return OneOfAny(policy, *c.RestartPolicy, corev1.ContainerRestartPolicyAlways,
			corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	}
	if len(c.RestartPolicyRules) > 0 {
		return field.ErrorList{field.Required(policy, "must specify restartPolicy when restart rules are used")}
	}
	return nil
}

func restartRules(path *field.Path, rules []corev1.ContainerRestartRule) field.ErrorList {
	var faults field.ErrorList
	if len(rules) > maxRestartRules {
		faults = append(faults, field.TooMany(path, len(rules), maxRestartRules))
	}
	for i, rule := range rules {
		at := path.Index(i)
		faults = append(faults, OneOfAny(at.Child("action"), rule.Action, corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)...)
		codes := at.Child("exitCodes")
		if rule.ExitCodes == nil {
			faults = append(faults, field.Required(codes, "must be specified"))
			continue
		}
		faults = append(faults, OneOfAny(codes.Child("operator"), rule.ExitCodes.Operator,
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		if n := len(rule.ExitCodes.Values); n > maxRestartExitCodes {
			faults = append(faults, field.TooMany(codes.Child("values"), n, maxRestartExitCodes))
		}
	}
	return faults
}

// imagesTrimmed refuses spaces around images. Only pods are held to it: templates were stored with such.
func imagesTrimmed(path *field.Path, list []corev1.Container) field.ErrorList {
	var faults field.ErrorList
	for i := range list {
		faults = append(faults, imageTrimmed(path.Index(i), &list[i])...)
	}
	return faults
}

func imageTrimmed(path *field.Path, c *corev1.Container) field.ErrorList {
	if strings.TrimSpace(c.Image) == c.Image {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("image"), c.Image, "must not have leading or trailing whitespace")}
}

// ephemeralContainers judges containers that join a running pod to look into it.
func ephemeralContainers(path *field.Path, s *surroundings) field.ErrorList {
	var faults field.ErrorList
	regular, own := sets.New[string](), sets.New[string]()
	for _, c := range s.spec.Containers {
		regular.Insert(c.Name)
	}
	for _, c := range s.spec.InitContainers {
		regular.Insert(c.Name)
	}
	for i := range s.spec.EphemeralContainers {
		e, at := &s.spec.EphemeralContainers[i], path.Index(i)
		c := corev1.Container(e.EphemeralContainerCommon)
		faults = append(faults, container(at, &c, s)...)
		faults = append(faults, imageTrimmed(at, &c)...)
		if regular.Has(c.Name) || own.Has(c.Name) {
			faults = append(faults, field.Duplicate(at.Child("name"), c.Name))
		} else {
			own.Insert(c.Name)
		}
		if e.TargetContainerName != "" && !regular.Has(e.TargetContainerName) {
			faults = append(faults, field.NotFound(at.Child("targetContainerName"), e.TargetContainerName))
		}
		faults = append(faults, onlyInspects(at, &c)...)
	}
	return faults
}

// onlyInspects refuses what would make an ephemeral container part of the pod's work.
func onlyInspects(path *field.Path, c *corev1.Container) field.ErrorList {
	var faults field.ErrorList
	forbid := func(name string, found bool) {
		if found {
			faults = append(faults, field.Forbidden(path.Child(name), notOnEphemeral))
		}
	}
	forbid("ports", len(c.Ports) > 0)
	forbid("resources", len(c.Resources.Limits)+len(c.Resources.Requests)+len(c.Resources.Claims) > 0)
	forbid("resizePolicy", len(c.ResizePolicy) > 0)
	forbid("restartPolicy", c.RestartPolicy != nil)
	forbid("restartPolicyRules", len(c.RestartPolicyRules) > 0)
	forbid("livenessProbe", c.LivenessProbe != nil)
	forbid("readinessProbe", c.ReadinessProbe != nil)
	forbid("startupProbe", c.StartupProbe != nil)
	forbid("lifecycle", c.Lifecycle != nil)
	for i, m := range c.VolumeMounts {
		if m.SubPath != "" {
			faults = append(faults, field.Forbidden(path.Child("volumeMounts").Index(i).Child("subPath"), notOnEphemeral))
		}
		if m.SubPathExpr != "" {
			faults = append(faults, field.Forbidden(path.Child("volumeMounts").Index(i).Child("subPathExpr"), notOnEphemeral))
		}
	}
	return faults
}
