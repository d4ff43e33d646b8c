package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

const (
	// nodeSelectorOf is the annotation by which a namespace says on which nodes its pods run.
	nodeSelectorOf = "scheduler.alpha.kubernetes.io/node-selector"
	// clusterNodeSelector stands, among the names of namespaces, for those that do not say.
	clusterNodeSelector = "clusterDefaultNodeSelector"
)

// podNodeSelector gives pods the node selector of their namespace, and holds them to the labels that the configuration
// lists for it.
func podNodeSelector(cfg *Config) admission.Plugin {
	p := &nodeSelectors{cfg: cfg}
	cfg.refuse("PodNodeSelector", p.configure())
	return admission.Plugin{On: admission.On(admission.Create), Admit: p.admit, Validate: p.validate}
}

type nodeSelectors struct {
	cfg        *Config
	configured map[string]string // by namespace: the labels that pods may select; and the default
}

// configure reads documents, of which later ones add to earlier ones. kube-apiserver passes over what it cannot read;
// pods would then run where they must not.
func (p *nodeSelectors) configure() error {
	data, err := p.cfg.control.of("PodNodeSelector")
	if err != nil {
		return err
	}
	var file struct {
		Selectors map[string]string `json:"podNodeSelectorPluginConfig"`
	}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for err == nil {
		err = d.Decode(&file)
	}
	p.configured = file.Selectors
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (p *nodeSelectors) admit(ctx context.Context, a *admission.Attributes) error {
	pod, wanted, err := p.wanted(ctx, a)
	if pod == nil || err != nil {
		return err
	}
	if len(wanted) > 0 && !labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		pod.Spec.NodeSelector = labels.Merge(wanted, pod.Spec.NodeSelector)
	}
	return p.judge(a, pod, wanted)
}

func (p *nodeSelectors) validate(ctx context.Context, a *admission.Attributes) error {
	pod, wanted, err := p.wanted(ctx, a)
	if pod == nil || err != nil {
		return err
	}
	return p.judge(a, pod, wanted)
}

// judge refuses a pod that wants other nodes than its namespace, or selects by labels that are not listed.
func (p *nodeSelectors) judge(a *admission.Attributes, pod *corev1.Pod, wanted labels.Set) error {
	refuse := func(why string) error { return apierrors.NewForbidden(a.GroupResource(), pod.Name, errors.New(why)) }
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return refuse("pod node label selector conflicts with its namespace node label selector")
	}
	listed, err := labels.ConvertSelectorToLabelsMap(p.configured[a.Namespace])
	if err != nil || len(listed) == 0 {
		return err
	}
	for key, value := range pod.Spec.NodeSelector {
		if v, is := listed[key]; !is || v != value {
			return refuse("pod node label selector labels conflict with its namespace whitelist")
		}
	}
	return nil
}

// wanted gives the pod that is written, nil where none is, and what its namespace selects.
func (p *nodeSelectors) wanted(ctx context.Context, a *admission.Attributes) (*corev1.Pod, labels.Set, error) {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !a.Is("", "pods", "") {
		return nil, nil, nil
	}
	selector, err := p.of(ctx, a.Namespace)
	return pod, selector, err
}

// of is what a namespace selects, or else the cluster.
func (p *nodeSelectors) of(ctx context.Context, namespace string) (labels.Set, error) {
	ns, err := find[*corev1.Namespace](ctx, p.cfg.Access, namespaces, "", namespace)
	if apierrors.IsNotFound(err) {
		err = fmt.Errorf("namespace %s does not exist", namespace)
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	selector, says := ns.Annotations[nodeSelectorOf]
	if !says {
		selector = p.configured[clusterNodeSelector]
	}
	return labels.ConvertSelectorToLabelsMap(selector)
}
