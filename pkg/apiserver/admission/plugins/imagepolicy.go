package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/cache"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

const (
	imagePolicyAudit  = "imagepolicywebhook.image-policy.k8s.io/" // what notes for the audit log begin with
	imageAnnotations  = ".image-policy.k8s.io/"                   // in the keys of annotations that the webhook sees
	imageAnswers      = 1024                                      // how many answers are kept
	imagePolicyWithin = 30 * time.Second                          // of each call
)

// imagePolicyFile is the configuration; durations are given as numbers, of which 0 stands for what is usual and -1 for
// none at all.
type imagePolicyFile struct {
	KubeConfigFile string        `json:"kubeConfigFile"` // how to reach the webhook
	AllowTTL       time.Duration `json:"allowTTL"`       // seconds that an answer is kept that allows, or denies
	DenyTTL        time.Duration `json:"denyTTL"`
	RetryBackoff   time.Duration `json:"retryBackoff"` // milliseconds before the second call
	DefaultAllow   bool          `json:"defaultAllow"` // what holds when the webhook cannot be asked
}

// imagePolicy asks a webhook whether pods may run their images.
func imagePolicy(cfg *Config) admission.Plugin {
	p, err := newImagePolicy(cfg)
	cfg.refuse("ImagePolicyWebhook", err)
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Validate: p.validate}
}

type imageReviewer struct {
	imagePolicyFile
	client  *webhookclient.Client
	answers *cache.LRUExpireCache // by the JSON of what was asked
}

type clock func() time.Time

// Now tells the time.
func (c clock) Now() time.Time { return c() }

func newImagePolicy(cfg *Config) (*imageReviewer, error) {
	data, err := cfg.control.of("ImagePolicyWebhook")
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errors.New("no config specified")
	}
	var file struct {
		Policy imagePolicyFile `json:"imagePolicy"`
	}
	if err := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096).Decode(&file); err != nil {
		return nil, err
	}
	p := &imageReviewer{
		imagePolicyFile: file.Policy, answers: cache.NewLRUExpireCacheWithClock(imageAnswers, clock(cfg.Now)),
	}
	for _, d := range []struct {
		value                    *time.Duration
		unit, least, most, usual time.Duration
	}{
		{&p.RetryBackoff, time.Millisecond, 1, 5 * time.Minute, 500 * time.Millisecond},
		{&p.AllowTTL, time.Second, time.Second, 30 * time.Minute, 5 * time.Minute},
		{&p.DenyTTL, time.Second, time.Second, 30 * time.Minute, 30 * time.Second},
	} {
		switch *d.value {
		case -1:
			*d.value = 0
		case 0:
			*d.value = d.usual
		default:
			if *d.value *= d.unit; *d.value < d.least || *d.value > d.most {
				return nil, fmt.Errorf("valid value is between %v and %v, got %v", d.least, d.most, *d.value)
			}
		}
	}
	clients, err := webhookclient.New(cfg.Access)
	if err != nil {
		return nil, err
	}
	p.client, err = clients.Named(p.KubeConfigFile)
	return p, err
}

func (p *imageReviewer) validate(ctx context.Context, a *admission.Attributes) error {
	if !a.Is("", "pods", "") && !a.Is("", "pods", "ephemeralcontainers") {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return apierrors.NewBadRequest("Resource was marked with kind Pod but was unable to be converted")
	}
	status, err := p.ask(ctx, imagesOf(a, pod))
	if err != nil {
		if !p.DefaultAllow {
			return admission.Forbidden(a, err)
		}
		request.Annotate(ctx, imagePolicyAudit+"failed-open", "true")
		return nil
	}
	for key, value := range status.AuditAnnotations {
		request.Annotate(ctx, imagePolicyAudit+key, value)
	}
	switch {
	case status.Allowed:
		return nil
	case status.Reason != "":
		return admission.Forbidden(a, fmt.Errorf("image policy webhook backend denied one or more images: %s", status.Reason))
	}
	return admission.Forbidden(a, errors.New("one or more images rejected by webhook backend"))
}

// imagesOf is what the webhook is told of a pod, or of the ephemeral containers that it gets.
func imagesOf(a *admission.Attributes, pod *corev1.Pod) imagepolicyv1alpha1.ImageReviewSpec {
	spec := imagepolicyv1alpha1.ImageReviewSpec{Namespace: a.Namespace, Annotations: map[string]string{}}
	for key, value := range pod.Annotations {
		if strings.Contains(key, imageAnnotations) {
			spec.Annotations[key] = value
		}
	}
	add := func(image string) {
		spec.Containers = append(spec.Containers, imagepolicyv1alpha1.ImageReviewContainerSpec{Image: image})
	}
	if a.Subresource != "" {
		for _, c := range pod.Spec.EphemeralContainers {
			add(c.Image)
		}
		return spec
	}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		add(c.Image)
	}
	return spec
}

// ask gives what the webhook answered before, or answers now.
func (p *imageReviewer) ask(
	ctx context.Context, spec imagepolicyv1alpha1.ImageReviewSpec,
) (imagepolicyv1alpha1.ImageReviewStatus, error) {
	var answer imagepolicyv1alpha1.ImageReview
	key, err := json.Marshal(spec)
	if err != nil {
		return answer.Status, err
	}
	if kept, ok := p.answers.Get(string(key)); ok {
		return kept.(imagepolicyv1alpha1.ImageReviewStatus), nil
	}
	if err := p.call(ctx, &imagepolicyv1alpha1.ImageReview{Spec: spec}, &answer); err != nil {
		return answer.Status, err
	}
	ttl := p.DenyTTL
	if answer.Status.Allowed {
		ttl = p.AllowTTL
	}
	if ttl > 0 {
		p.answers.Add(string(key), answer.Status, ttl)
	}
	return answer.Status, nil
}

// call asks up to five times, as long as the fault is one that may pass.
func (p *imageReviewer) call(ctx context.Context, review, answer *imagepolicyv1alpha1.ImageReview) error {
	var last error
	again := wait.Backoff{Duration: p.RetryBackoff, Factor: 1.5, Jitter: 0.2, Steps: 5}
	err := wait.ExponentialBackoffWithContext(ctx, again, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, imagePolicyWithin)
		defer cancel()
		last = p.client.Post(ctx, review, answer)
		return last == nil, permanent(last)
	})
	if last != nil {
		return last
	}
	return err
}

// permanent is the fault of a call if it makes no sense to call again.
func permanent(err error) error {
	_, delayed := apierrors.SuggestsClientDelay(err)
	if delayed || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) {
		return nil
	}
	return err
}
