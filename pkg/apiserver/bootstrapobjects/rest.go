package bootstrapobjects

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

var (
	namespaces      = schema.GroupResource{Resource: "namespaces"}
	configMaps      = schema.GroupResource{Resource: "configmaps"}
	priorityClasses = schema.GroupResource{Group: schedulingv1.GroupName, Resource: "priorityclasses"}
	flowSchemas     = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "flowschemas"}
	priorityLevels  = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "prioritylevelconfigurations"}
)

const (
	autoUpdateSpec = "apf.kubernetes.io/autoupdate-spec"
	flowManager    = "api-priority-and-fairness-config-producer-v1"
	trustName      = "extension-apiserver-authentication"
)

func (e *ensurer) namespaces() []job {
	var jobs []job
	for _, name := range []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, metav1.NamespaceDefault} {
		jobs = append(jobs, e.missing(namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	return jobs
}

func (e *ensurer) rest() ([]job, error) {
	var jobs []job
	classes, err := read[*schedulingv1.PriorityClass]("priorityclasses.yaml")
	if err != nil {
		return nil, err
	}
	for _, c := range classes {
		jobs = append(jobs, e.missing(priorityClasses, c))
	}
	flow, err := e.flowControl()
	if err != nil {
		return nil, err
	}
	jobs = append(jobs, flow...)
	jobs = append(jobs, e.tracking)
	if e.cfg.Trust != nil {
		jobs = append(jobs, e.trust)
	}
	return jobs, nil
}

// flowControl restores the specs that nobody has taken into their own hands.
func (e *ensurer) flowControl() ([]job, error) {
	var jobs []job
	levels, err := read[*flowcontrolv1.PriorityLevelConfiguration]("prioritylevels.yaml")
	if err != nil {
		return nil, err
	}
	for _, l := range levels {
		l.Annotations = map[string]string{autoUpdateSpec: "true"}
		jobs = append(jobs, e.spec(priorityLevels, l, func(o resource.Object) bool {
			have := o.(*flowcontrolv1.PriorityLevelConfiguration)
			return !restore(&have.Spec, l.Spec)
		}))
	}
	schemas, err := read[*flowcontrolv1.FlowSchema]("flowschemas.yaml")
	if err != nil {
		return nil, err
	}
	for _, s := range schemas {
		s.Annotations = map[string]string{autoUpdateSpec: "true"}
		jobs = append(jobs, e.spec(flowSchemas, s, func(o resource.Object) bool {
			have := o.(*flowcontrolv1.FlowSchema)
			return !restore(&have.Spec, s.Spec)
		}))
	}
	return jobs, nil
}

// restore sets have to want and says whether it was so already.
func restore[T any](have *T, want T) bool {
	same := equality.Semantic.DeepEqual(*have, want)
	*have = want
	return same
}

func (e *ensurer) spec(r schema.GroupResource, want resource.Object, change func(resource.Object) bool) job {
	return func(ctx context.Context) error {
		ctx = resource.ManagedAs(ctx, flowManager)
		have, err := e.find(ctx, r, want)
		if apierrors.IsNotFound(err) {
			return e.create(ctx, r, want)
		}
		if err != nil || have.GetAnnotations()[autoUpdateSpec] != "true" || !change(have.DeepCopyObject().(resource.Object)) {
			return err
		}
		return e.change(ctx, r, want, change)
	}
}

// Trust is what extension API servers must know to believe this server.
type Trust struct {
	ClientCA            []byte // PEM; whom the server takes client certificates from
	ProxyClientCA       []byte // PEM; who signs the certificate that the server shows as a front proxy
	AllowedNames        []string
	UsernameHeaders     []string
	UIDHeaders          []string
	GroupHeaders        []string
	ExtraHeaderPrefixes []string
}

func (t *Trust) data() (map[string]string, error) {
	data := map[string]string{}
	if len(t.ClientCA) > 0 {
		data["client-ca-file"] = string(t.ClientCA)
	}
	if len(t.ProxyClientCA) == 0 {
		return data, nil
	}
	data["requestheader-client-ca-file"] = string(t.ProxyClientCA)
	for key, list := range map[string][]string{
		"requestheader-allowed-names":        t.AllowedNames,
		"requestheader-username-headers":     t.UsernameHeaders,
		"requestheader-uid-headers":          t.UIDHeaders,
		"requestheader-group-headers":        t.GroupHeaders,
		"requestheader-extra-headers-prefix": t.ExtraHeaderPrefixes,
	} {
		text, err := json.Marshal(append([]string{}, list...))
		if err != nil {
			return nil, fmt.Errorf("publishing %s: %w", key, err)
		}
		data[key] = string(text)
	}
	return data, nil
}

func (e *ensurer) trust(ctx context.Context) error {
	data, err := e.cfg.Trust.data()
	if err != nil || len(data) == 0 {
		return err
	}
	want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: trustName}, Data: data}
	have, err := e.find(ctx, configMaps, want)
	if apierrors.IsNotFound(err) {
		return e.create(ctx, configMaps, want)
	}
	if err != nil || maps.Equal(have.(*corev1.ConfigMap).Data, data) {
		return err
	}
	return e.change(ctx, configMaps, want, func(o resource.Object) bool {
		have := o.(*corev1.ConfigMap)
		same := maps.Equal(have.Data, data)
		have.Data = data
		return !same
	})
}

// tracking notes the day since which the use of tokens in secrets is noted, and notes it anew where it is no day.
func (e *ensurer) tracking(ctx context.Context) error {
	want := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: accounttoken.TrackingConfigMap},
		Data:       map[string]string{accounttoken.TrackingSince: e.cfg.Now().UTC().Format(time.DateOnly)},
	}
	day := func(o resource.Object) bool {
		_, err := time.Parse(time.DateOnly, o.(*corev1.ConfigMap).Data[accounttoken.TrackingSince])
		return err == nil
	}
	have, err := e.find(ctx, configMaps, want)
	switch {
	case apierrors.IsNotFound(err):
		return e.create(ctx, configMaps, want)
	case err != nil || day(have):
		return err
	}
	return e.change(ctx, configMaps, want, func(o resource.Object) bool {
		if day(o) {
			return false
		}
		data := map[string]string{}
		maps.Copy(data, o.(*corev1.ConfigMap).Data)
		maps.Copy(data, want.Data)
		o.(*corev1.ConfigMap).Data = data
		return true
	})
}

// GroupPriority is where clients find a group version among others: groups by the first number, versions of
// a group by the second, both highest first.
type GroupPriority struct {
	Group           string
	Version         string
	GroupPriority   int32
	VersionPriority int32
}

// GroupPriorities answers the priorities of the group versions that are built in.
func GroupPriorities(served []schema.GroupVersion) ([]GroupPriority, error) {
	all, err := read[GroupPriority]("groups.yaml")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(g GroupPriority) bool {
		return !slices.Contains(served, schema.GroupVersion{Group: g.Group, Version: g.Version})
	}), nil
}
