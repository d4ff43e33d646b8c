package validation

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// GoNames gives a value whose JSON shows structs of the API by the names of their Go fields, with nothing
// left out: the form in which clients know values in messages about faults. What belongs to
// apimachinery (selectors, quantities, times) is shown as in the API.
func GoNames(v any) any {
	switch value := reflect.ValueOf(v); {
	case !value.IsValid():
		return nil
	case value.Kind() == reflect.Pointer && value.IsNil():
		return v
	case shownByGoName(value.Type()):
		return goNames{value}
	default:
		return v
	}
}

type goNames struct{ value reflect.Value }

// MarshalJSON writes the value by Go names.
func (g goNames) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	if err := writeGoNames(&out, g.value); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// shownByGoName says whether a struct of the API is found in t without passing through a type that has a
// JSON form of its own.
func shownByGoName(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return shownByGoName(t.Elem())
	case reflect.Struct:
		return strings.HasPrefix(t.PkgPath(), "k8s.io/api/")
	default:
		return false
	}
}

func writeGoNames(out *bytes.Buffer, v reflect.Value) error {
	if !shownByGoName(v.Type()) || v.Kind() == reflect.Map {
		return writePlain(out, v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			out.WriteString("null")
			return nil
		}
		return writeGoNames(out, v.Elem())
	case reflect.Slice:
		return writeList(out, v)
	default:
		out.WriteByte('{')
		first := true
		if err := writeFields(out, v, &first); err != nil {
			return err
		}
		out.WriteByte('}')
		return nil
	}
}

func writePlain(out *bytes.Buffer, v reflect.Value) error {
	text, err := json.Marshal(v.Interface())
	out.Write(text)
	return err
}

func writeList(out *bytes.Buffer, v reflect.Value) error {
	if v.IsNil() {
		out.WriteString("null")
		return nil
	}
	out.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeGoNames(out, v.Index(i)); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeFields(out *bytes.Buffer, v reflect.Value, first *bool) error {
	if spec, is := v.Interface().(corev1.PodSpec); is {
		v = reflect.ValueOf(shownPod(spec))
	}
	for _, i := range fieldOrder(v.Type()) {
		f := v.Type().Field(i)
		if f.Anonymous && !shownByGoName(f.Type) {
			if err := writeMembers(out, v.Field(i), first); err != nil {
				return err
			}
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if err := writeFields(out, v.Field(i), first); err != nil {
				return err
			}
			continue
		}
		if err := writeField(out, f.Name, v.Field(i), first); err != nil {
			return err
		}
	}
	return nil
}

// fieldOrder is that of the type, but for volumes, of which messages show some kinds elsewhere.
func fieldOrder(t reflect.Type) []int {
	order := make([]int, 0, t.NumField())
	for i := range t.NumField() {
		order = append(order, i)
	}
	move := func(name, after string) {
		f, _ := t.FieldByName(name)
		before, _ := t.FieldByName(after)
		order = slices.DeleteFunc(order, func(i int) bool { return i == f.Index[0] })
		order = slices.Insert(order, slices.Index(order, before.Index[0])+1, f.Index[0])
	}
	switch t {
	case reflect.TypeFor[corev1.VolumeSource]():
		move("Quobyte", "RBD")
	case reflect.TypeFor[corev1.PersistentVolumeSource]():
		move("Quobyte", "RBD")
		move("FlexVolume", "ISCSI")
	}
	return order
}

// writeMembers writes what an embedded struct of apimachinery shows, as members of the struct around it.
func writeMembers(out *bytes.Buffer, v reflect.Value, first *bool) error {
	text, err := json.Marshal(v.Interface())
	members := bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("{")), []byte("}"))
	if err != nil || len(members) == 0 {
		return err
	}
	if !*first {
		out.WriteByte(',')
	}
	*first = false
	out.Write(members)
	return nil
}

func writeField(out *bytes.Buffer, name string, v reflect.Value, first *bool) error {
	if !*first {
		out.WriteByte(',')
	}
	*first = false
	out.WriteString(`"` + name + `":`)
	if security, is := v.Interface().(*shownSecurity); is {
		if security == nil {
			out.WriteString("null")
			return nil
		}
		out.WriteByte('{')
		inner := true
		if err := writeFields(out, reflect.ValueOf(*security), &inner); err != nil {
			return err
		}
		out.WriteByte('}')
		return nil
	}
	return writeGoNames(out, v)
}

// shownPodSpec is a pod's spec in the order in which messages show it: what is shared with the host
// stands in the security context.
type shownPodSpec struct {
	Volumes                       []corev1.Volume
	InitContainers                []corev1.Container
	Containers                    []corev1.Container
	EphemeralContainers           []corev1.EphemeralContainer
	RestartPolicy                 corev1.RestartPolicy
	TerminationGracePeriodSeconds *int64
	ActiveDeadlineSeconds         *int64
	DNSPolicy                     corev1.DNSPolicy
	NodeSelector                  map[string]string
	ServiceAccountName            string
	AutomountServiceAccountToken  *bool
	NodeName                      string
	SecurityContext               *shownSecurity
	ImagePullSecrets              []corev1.LocalObjectReference
	Hostname                      string
	Subdomain                     string
	SetHostnameAsFQDN             *bool
	Affinity                      *corev1.Affinity
	SchedulerName                 string
	Tolerations                   []corev1.Toleration
	HostAliases                   []corev1.HostAlias
	PriorityClassName             string
	Priority                      *int32
	PreemptionPolicy              *corev1.PreemptionPolicy
	DNSConfig                     *corev1.PodDNSConfig
	ReadinessGates                []corev1.PodReadinessGate
	RuntimeClassName              *string
	Overhead                      corev1.ResourceList
	EnableServiceLinks            *bool
	TopologySpreadConstraints     []corev1.TopologySpreadConstraint
	OS                            *corev1.PodOS
	SchedulingGates               []corev1.PodSchedulingGate
	ResourceClaims                []corev1.PodResourceClaim
	Resources                     *corev1.ResourceRequirements
	HostnameOverride              *string
	SchedulingGroup               *corev1.PodSchedulingGroup
}

type shownSecurity struct {
	HostNetwork              bool
	HostPID                  bool
	HostIPC                  bool
	ShareProcessNamespace    *bool
	HostUsers                *bool
	SELinuxOptions           *corev1.SELinuxOptions
	WindowsOptions           *corev1.WindowsSecurityContextOptions
	RunAsUser                *int64
	RunAsGroup               *int64
	RunAsNonRoot             *bool
	SupplementalGroups       []int64
	SupplementalGroupsPolicy *corev1.SupplementalGroupsPolicy
	FSGroup                  *int64
	FSGroupChangePolicy      *corev1.PodFSGroupChangePolicy
	Sysctls                  []corev1.Sysctl
	SeccompProfile           *corev1.SeccompProfile
	AppArmorProfile          *corev1.AppArmorProfile
	SELinuxChangePolicy      *corev1.PodSELinuxChangePolicy
}

// shownPod copies by name the fields that both forms have.
func shownPod(spec corev1.PodSpec) shownPodSpec {
	shown := shownPodSpec{}
	copyFields(reflect.ValueOf(&shown).Elem(), reflect.ValueOf(spec), "SecurityContext")
	security := shownSecurity{}
	copyFields(reflect.ValueOf(&security).Elem(), reflect.ValueOf(spec))
	if spec.SecurityContext != nil {
		copyFields(reflect.ValueOf(&security).Elem(), reflect.ValueOf(*spec.SecurityContext))
	}
	shown.SecurityContext = &security
	return shown
}

func copyFields(to, from reflect.Value, but ...string) {
	for i := range to.NumField() {
		name := to.Type().Field(i).Name
		if f := from.FieldByName(name); f.IsValid() && !slices.Contains(but, name) {
			to.Field(i).Set(f)
		}
	}
}
