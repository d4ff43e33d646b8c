package crd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// Bounds of a call of a conversion webhook: in time, as upstream's, and in the bytes of its answer.
const (
	conversionTime   = 30 * time.Second
	conversionAnswer = 16 << 20
)

// Dialer gives a client that reaches a webhook, and the address to call.
type Dialer func(c *apiextensionsv1.WebhookClientConfig) (client *http.Client, url string, err error)

// converter gives objects of a definition other versions.
type converter struct {
	crd  *apiextensionsv1.CustomResourceDefinition
	dial Dialer
}

// to gives an object another apiVersion: by its name alone, or as the definition's webhook says.
func (c converter) to(u *unstructured.Unstructured, apiVersion string) (*unstructured.Unstructured, error) {
	strategy := c.crd.Spec.Conversion
	if strategy == nil || strategy.Strategy != apiextensionsv1.WebhookConverter || len(u.Object) == 2 { // an empty object stays empty
		out := u.DeepCopy()
		out.SetAPIVersion(apiVersion)
		return out, nil
	}
	out, err := c.ask(u, apiVersion)
	if err != nil {
		return nil, fmt.Errorf("conversion webhook for %v %w", u.GroupVersionKind(), err)
	}
	return out, nil
}

// review is a ConversionReview: v1 and v1beta1 have the same form.
type review struct {
	metav1.TypeMeta `json:",inline"`
	Request         *reviewRequest  `json:"request,omitempty"`
	Response        *reviewResponse `json:"response,omitempty"`
}

type reviewRequest struct {
	UID               types.UID                    `json:"uid"`
	DesiredAPIVersion string                       `json:"desiredAPIVersion"`
	Objects           []*unstructured.Unstructured `json:"objects"`
}

type reviewResponse struct {
	UID              types.UID         `json:"uid"`
	ConvertedObjects []json.RawMessage `json:"convertedObjects"`
	Result           metav1.Status     `json:"result"`
}

func (c converter) ask(u *unstructured.Unstructured, apiVersion string) (*unstructured.Unstructured, error) {
	spoken := ""
	for _, v := range c.crd.Spec.Conversion.Webhook.ConversionReviewVersions {
		if v == "v1" || v == "v1beta1" {
			spoken = v
			break
		}
	}
	if spoken == "" {
		return nil, errors.New("failed: no supported conversion review versions")
	}
	request := review{
		TypeMeta: metav1.TypeMeta{Kind: "ConversionReview", APIVersion: apiextensionsv1.GroupName + "/" + spoken},
		Request:  &reviewRequest{UID: uuid.NewUUID(), DesiredAPIVersion: apiVersion, Objects: []*unstructured.Unstructured{u}},
	}
	answer, err := c.call(&request)
	if err == nil {
		err = answer.judge(&request, spoken)
	}
	if err != nil {
		return nil, fmt.Errorf("failed: %w", err)
	}
	if n := len(answer.Response.ConvertedObjects); n != 1 {
		return nil, fmt.Errorf("returned %d objects, expected 1", n)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(answer.Response.ConvertedObjects[0]); err != nil {
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

func (c converter) call(request *review) (*review, error) {
	client, address, err := c.dial(c.crd.Spec.Conversion.Webhook.ClientConfig)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), conversionTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, conversionAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	answer := &review{}
	if err := json.Unmarshal(text, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// judge refuses an answer that is none to the request, or that says that it failed.
func (a *review) judge(request *review, spoken string) error {
	want := request.GroupVersionKind()
	switch {
	case spoken == "v1" && a.GroupVersionKind() != want:
		return fmt.Errorf("expected webhook response of %v, got %v", want, a.GroupVersionKind())
	case a.Response == nil:
		return errors.New("no response provided")
	case spoken == "v1" && a.Response.UID != request.Request.UID:
		return fmt.Errorf("expected response.uid=%q, got %q", request.Request.UID, a.Response.UID)
	case a.Response.Result.Status == metav1.StatusSuccess:
		return nil
	case a.Response.Result.Message != "":
		return errors.New(a.Response.Result.Message)
	}
	return fmt.Errorf("response.result.status was '%s', not 'Success'", a.Response.Result.Status)
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
