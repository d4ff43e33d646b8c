package validation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	envFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
		"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	volumeFieldPaths = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	// knownFieldPaths are those that exist, usable here or not.
	knownFieldPaths = append([]string{"metadata.annotations", "metadata.labels", "spec.restartPolicy",
		"spec.schedulerName", "status.phase"}, envFieldPaths...)

	containerResources = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory"}
	subscripted = regexp.MustCompile(`^(.*)\['(.*)'\]$`)

	cpuDivisors   = []string{"1m", "1"}
	bytesDivisors = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
)

func env(path *field.Path, vars []corev1.EnvVar) field.ErrorList {
	var faults field.ErrorList
	for i, v := range vars {
		at := path.Index(i)
		if v.Name == "" {
			faults = append(faults, field.Required(at.Child("name"), ""))
		} else {
			faults = append(faults, Invalid(at.Child("name"), v.Name, utilvalidation.IsRelaxedEnvVarName(v.Name))...)
		}
		if v.ValueFrom != nil {
			faults = append(faults, envSource(at.Child("valueFrom"), v)...)
		}
	}
	return faults
}

func envSource(path *field.Path, v corev1.EnvVar) field.ErrorList {
	var faults field.ErrorList
	sources := 0
	from := v.ValueFrom
	if from.FieldRef != nil {
		sources++
		faults = append(faults, fieldSelector(path.Child("fieldRef"), from.FieldRef, envFieldPaths)...)
	}
	if from.ResourceFieldRef != nil {
		sources++
		faults = append(faults, resourceSelector(path.Child("resourceFieldRef"), from.ResourceFieldRef, false)...)
	}
	if from.ConfigMapKeyRef != nil {
		sources++
		faults = append(faults, keySelector(path.Child("configMapKeyRef"), from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)...)
	}
	if from.SecretKeyRef != nil {
		sources++
		faults = append(faults, keySelector(path.Child("secretKeyRef"), from.SecretKeyRef.Name, from.SecretKeyRef.Key)...)
	}
	if from.FileKeyRef != nil {
		sources++
		faults = append(faults, fileSelector(path.Child("fileKeyRef"), from.FileKeyRef)...)
	}
	switch {
	case sources == 0:
		faults = append(faults, field.Invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		faults = append(faults, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		faults = append(faults, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return faults
}

func envFrom(path *field.Path, sources []corev1.EnvFromSource) field.ErrorList {
	var faults field.ErrorList
	for i, from := range sources {
		at := path.Index(i)
		if from.Prefix != "" {
			faults = append(faults, Invalid(at.Child("prefix"), from.Prefix, utilvalidation.IsRelaxedEnvVarName(from.Prefix))...)
		}
		n := 0
		if from.ConfigMapRef != nil {
			n++
			faults = append(faults, sourceName(at.Child("configMapRef", "name"), from.ConfigMapRef.Name)...)
		}
		if from.SecretRef != nil {
			n++
			faults = append(faults, sourceName(at.Child("secretRef", "name"), from.SecretRef.Name)...)
		}
		switch n {
		case 0:
			faults = append(faults, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		case 1:
		default:
			faults = append(faults, field.Invalid(path, "", "may not have more than one field specified at a time"))
		}
	}
	return faults
}

func sourceName(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return DNSSubdomain(path, name)
}

func keySelector(path *field.Path, name, key string) field.ErrorList {
	faults := DNSSubdomain(path.Child("name"), name)
	if key == "" {
		return append(faults, field.Required(path.Child("key"), ""))
	}
	return append(faults, Invalid(path.Child("key"), key, utilvalidation.IsConfigMapKey(key))...)
}

func fileSelector(path *field.Path, ref *corev1.FileKeySelector) field.ErrorList {
	var faults field.ErrorList
	if ref.Key == "" {
		faults = append(faults, field.Required(path.Child("key"), ""))
	} else {
		faults = append(faults, Invalid(path.Child("key"), ref.Key, utilvalidation.IsRelaxedEnvVarName(ref.Key))...)
	}
	faults = append(faults, FilledWith(path.Child("volumeName"), ref.VolumeName, DNSLabel)...)
	if ref.Path == "" {
		return append(faults, field.Required(path.Child("path"), ""))
	}
	// Below the volume's root: a leading slash changes nothing.
	return append(faults, noBacksteps(path.Child("path"), ref.Path)...)
}

// fileVolumes judges the volumes that environment files are read from: init containers write them, so
// only an emptyDir will do.
func fileVolumes(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		for i, v := range c.Env {
			if v.ValueFrom == nil || v.ValueFrom.FileKeyRef == nil {
				continue
			}
			name := v.ValueFrom.FileKeyRef.VolumeName
			source := lastVolume(s.Volumes, name) // of two volumes with one name the last counts
			if source != nil && source.EmptyDir != nil {
				continue
			}
			volume := at.path().Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			if source == nil {
				faults = append(faults, field.NotFound(volume, name))
			} else {
				faults = append(faults, field.Invalid(volume, name, "referenced volume must be of type emptyDir"))
			}
		}
	})
	return faults
}

func lastVolume(list []corev1.Volume, name string) *corev1.Volume {
	for i := range slices.Backward(list) {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// subscript takes a path that ends in one apart: the whole, what is before it, and the key; nil for another path.
func subscript(path string) []string {
	if !strings.HasSuffix(path, "']") {
		return nil
	}
	return subscripted.FindStringSubmatch(path)
}

// fieldSelector judges a reference to a field of the pod.
func fieldSelector(path *field.Path, ref *corev1.ObjectFieldSelector, supported []string) field.ErrorList {
	if ref.APIVersion == "" {
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	}
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	}
	refuse := func(why, what string) field.ErrorList {
		return field.ErrorList{field.Invalid(path.Child("fieldPath"), ref.FieldPath, fmt.Sprintf("error converting fieldPath: %s: %s", why, what))}
	}
	if ref.APIVersion != "v1" {
		return refuse("unsupported pod version", ref.APIVersion)
	}
	if parts := subscript(ref.FieldPath); parts != nil {
		switch parts[1] {
		case "metadata.annotations":
			return QualifiedName(path, strings.ToLower(parts[2]))
		case "metadata.labels":
			return QualifiedName(path, parts[2])
		default:
			return refuse("field label does not support subscript", ref.FieldPath)
		}
	}
	name := ref.FieldPath
	if name == "spec.host" {
		name = "spec.nodeName"
	}
	if !slices.Contains(knownFieldPaths, name) {
		return refuse("field label not supported", name)
	}
	return OneOf(path.Child("fieldPath"), name, supported...)
}

// resourceSelector judges a reference to a container's requests or limits.
func resourceSelector(path *field.Path, ref *corev1.ResourceFieldSelector, volume bool) field.ErrorList {
	var faults field.ErrorList
	switch {
	case volume && ref.ContainerName == "":
		faults = append(faults, field.Required(path.Child("containerName"), ""))
	case ref.Resource == "":
		faults = append(faults, field.Required(path.Child("resource"), ""))
	case strings.HasPrefix(ref.Resource, "limits.hugepages-"), strings.HasPrefix(ref.Resource, "requests.hugepages-"):
	default:
		faults = append(faults, OneOf(path.Child("resource"), ref.Resource, containerResources...)...)
	}
	return append(faults, divisor(path.Child("divisor"), ref.Resource, ref.Divisor)...)
}

func divisor(path *field.Path, name string, value resource.Quantity) field.ErrorList {
	if value.IsZero() {
		return nil
	}
	var supported []string
	var words string
	switch _, what, _ := strings.Cut(name, "."); {
	case what == "cpu":
		supported, words = cpuDivisors, "1m and 1 are supported with the cpu resource"
	case what == "memory":
		supported, words = bytesDivisors, strings.Join(bytesDivisors, ", ")+" are supported with the memory resource"
	case what == "ephemeral-storage":
		supported, words = bytesDivisors, strings.Join(bytesDivisors, ", ")+" are supported with the local ephemeral storage resource"
	case strings.HasPrefix(what, corev1.ResourceHugePagesPrefix):
		supported, words = bytesDivisors, strings.Join(bytesDivisors, ", ")+" are supported with the hugepages resource"
	default:
		return nil
	}
	if slices.Contains(supported, value.String()) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "only divisor's values "+words)}
}
