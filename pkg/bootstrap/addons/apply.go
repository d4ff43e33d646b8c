// Package addons writes the objects of manifests/ into a cluster. It knows how to write and not what.
package addons

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sampan-project/sampan/pkg/bootstrap/render"
)

// manager owns the fields that are written here.
const manager = "ctl-init"

// Writer writes objects.
type Writer struct{ client dynamic.Interface }

// NewWriter makes a writer by a kubeconfig file.
func NewWriter(kubeconfig string) (*Writer, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s is not usable: %w", kubeconfig, err)
	}
	cfg.QPS, cfg.UserAgent = -1, "ctl/sampan"
	cfg.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s is not usable: %w", kubeconfig, err)
	}
	return &Writer{client}, nil
}

// Template writes the objects of a template, in its order. Fields that others own and that it does not
// mention stay as they are.
func (w *Writer) Template(ctx context.Context, file string, v *render.Values) error {
	objects, err := render.Objects(file, v)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := w.apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) apply(ctx context.Context, o *unstructured.Unstructured) error {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind()) // right for every kind in manifests/
	var to dynamic.ResourceInterface = w.client.Resource(plural)
	if ns := o.GetNamespace(); ns != "" {
		to = w.client.Resource(plural).Namespace(ns)
	}
	if _, err := to.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true}); err != nil {
		return fmt.Errorf("writing %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}
