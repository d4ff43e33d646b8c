package crd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// converter gives objects of a definition other versions.
type converter struct {
	crd    *apiextensionsv1.CustomResourceDefinition
	client func() (*webhookclient.Client, error) // of its webhook, nil where it has none
}

func newConverter(crd *apiextensionsv1.CustomResourceDefinition, clients *webhookclient.Clients) converter {
	c := converter{crd: crd}
	strategy := crd.Spec.Conversion
	if clients == nil || strategy == nil || strategy.Strategy != apiextensionsv1.WebhookConverter || strategy.Webhook == nil || strategy.Webhook.ClientConfig == nil {
		return c
	}
	at := strategy.Webhook.ClientConfig
	bundle := at.CABundle
	if len(bytes.TrimSpace(bundle)) == 0 {
		bundle = nil
	}
	c.client = clients.For("conversion_webhook_for_"+crd.Name,
		&admissionv1.WebhookClientConfig{URL: at.URL, Service: (*admissionv1.ServiceReference)(at.Service), CABundle: bundle})
	return c
}

// to gives an object another apiVersion: by its name alone, or as the definition's webhook says.
func (c converter) to(u *unstructured.Unstructured, apiVersion string) (*unstructured.Unstructured, error) {
	by := c.crd.Spec.Conversion
	if by == nil || by.Strategy != apiextensionsv1.WebhookConverter || len(u.Object) == 2 { // an empty object stays empty
		out := u.DeepCopy()
		out.SetAPIVersion(apiVersion)
		return out, nil
	}
	out, err := c.ask(u, apiVersion)
	if err != nil {
		// Only the text is passed on: the status that a webhook answers with is not the answer to the request.
		return nil, fmt.Errorf("conversion webhook for %v %v", u.GroupVersionKind(), err)
	}
	return out, nil
}

func (c converter) ask(u *unstructured.Unstructured, apiVersion string) (*unstructured.Unstructured, error) {
	converted, err := c.call(&apiextensionsv1.ConversionRequest{
		UID: uuid.NewUUID(), DesiredAPIVersion: apiVersion, Objects: []runtime.RawExtension{{Object: u}},
	})
	if err != nil {
		return nil, fmt.Errorf("failed: %w", err)
	}
	if n := len(converted); n != 1 {
		return nil, fmt.Errorf("returned %d objects, expected 1", n)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(converted[0].Raw); err != nil {
		return nil, fmt.Errorf("failed: %w", err)
	}
	if got := out.GroupVersionKind(); out.GetAPIVersion() != apiVersion {
		return nil, fmt.Errorf("returned invalid object at index 0: invalid groupVersion (expected %v, received %v)", apiVersion, got.GroupVersion())
	} else if got.Kind != u.GetKind() {
		return nil, fmt.Errorf("returned invalid object at index 0: invalid kind (expected %v, received %v)", u.GetKind(), got.Kind)
	}
	if err := sameObject(u, out); err != nil {
		return nil, fmt.Errorf("returned invalid object: %w", err)
	}
	if err := keepMetadata(u, out); err != nil {
		return nil, fmt.Errorf("returned invalid metadata: %w", err)
	}
	return out, nil
}

// call asks in the first version of reviews that the webhook and the server speak.
func (c converter) call(request *apiextensionsv1.ConversionRequest) ([]runtime.RawExtension, error) {
	if c.client == nil {
		return nil, errors.New("no client of it")
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	for _, v := range c.crd.Spec.Conversion.Webhook.ConversionReviewVersions {
		switch v {
		case "v1":
			answer := &apiextensionsv1.ConversionReview{}
			if err := client.Post(context.Background(), &apiextensionsv1.ConversionReview{Request: request}, answer); err != nil {
				return nil, err
			}
			return judge(answer, request.UID)
		case "v1beta1":
			question := &apiextensionsv1beta1.ConversionReview{Request: (*apiextensionsv1beta1.ConversionRequest)(request)}
			answer := &apiextensionsv1beta1.ConversionReview{}
			if err := client.Post(context.Background(), question, answer); err != nil {
				return nil, err
			}
			return objectsOf((*apiextensionsv1.ConversionResponse)(answer.Response))
		}
	}
	return nil, errors.New("no supported conversion review versions")
}

// judge refuses an answer that is none to the request. The older version of reviews was never held to that.
func judge(answer *apiextensionsv1.ConversionReview, uid types.UID) ([]runtime.RawExtension, error) {
	if want := apiextensionsv1.SchemeGroupVersion.WithKind("ConversionReview"); answer.GroupVersionKind() != want {
		return nil, fmt.Errorf("expected webhook response of %v, got %v", want, answer.GroupVersionKind())
	}
	if answer.Response != nil && answer.Response.UID != uid {
		return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, answer.Response.UID)
	}
	return objectsOf(answer.Response)
}

// objectsOf gives what an answer says, unless that is that it failed.
func objectsOf(r *apiextensionsv1.ConversionResponse) ([]runtime.RawExtension, error) {
	switch {
	case r == nil:
		return nil, errors.New("no response provided")
	case r.Result.Status == metav1.StatusSuccess:
		return r.ConvertedObjects, nil
	case r.Result.Message != "":
		return nil, errors.New(r.Result.Message)
	}
	return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", r.Result.Status)
}

func sameObject(in, out *unstructured.Unstructured) error {
	for _, m := range []struct{ what, was, is string }{
		{"kind", in.GetKind(), out.GetKind()}, {"name", in.GetName(), out.GetName()},
		{"namespace", in.GetNamespace(), out.GetNamespace()}, {"UID", string(in.GetUID()), string(out.GetUID())},
	} {
		if m.was != m.is {
			return fmt.Errorf("must have the same %s: %v != %v", m.what, m.was, m.is)
		}
	}
	return nil
}

// keepMetadata lets a conversion change labels and annotations only.
func keepMetadata(in, out *unstructured.Unstructured) error {
	given, found := out.Object["metadata"]
	if !found {
		return errors.New("missing metadata in converted object")
	}
	answered, ok := given.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata of type %T in converted object", given)
	}
	kept := map[string]any{}
	if was, ok := in.Object["metadata"].(map[string]any); ok {
		kept = runtime.DeepCopyJSON(was)
	}
	for _, name := range []string{"labels", "annotations"} {
		value := answered[name]
		if value == nil {
			delete(kept, name)
			continue
		}
		texts, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("invalid metadata.%s of type %T in converted object", name, value)
		}
		if err := judgeTexts(name, texts, kept[name]); err != nil {
			return err
		}
		kept[name] = texts
	}
	out.Object["metadata"] = kept
	return nil
}
