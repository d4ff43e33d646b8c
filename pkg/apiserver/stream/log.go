package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/streaming"
)

// maxRefusal bounds what is read of a kubelet's refusal.
const maxRefusal = 50000

func (s *Streams) log(ctx context.Context, namespace, name, _ string, options runtime.Object) (http.Handler, error) {
	o, ok := options.(*corev1.PodLogOptions)
	if !ok {
		return nil, fmt.Errorf("the options are %T, not PodLogOptions", options)
	}
	if faults := validateLogOptions(o); len(faults) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, name, faults)
	}
	pod, err := s.pod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	container, err := chosenContainer(pod, o.Container)
	if err != nil {
		return nil, err
	}
	if pod.Spec.NodeName == "" {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), nil
	}
	host, port, err := s.kubeletOf(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	at := &url.URL{
		Scheme: "https", Host: net.JoinHostPort(host, port),
		Path: "/containerLogs/" + pod.Namespace + "/" + pod.Name + "/" + container, RawQuery: logQuery(o).Encode(),
	}
	transport := s.kubelet.verified
	if o.InsecureSkipTLSVerifyBackend {
		transport = s.kubelet.unverified
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.copyLog(w, r, at, transport, name, o.Follow) }), nil
}

func validateLogOptions(o *corev1.PodLogOptions) (faults field.ErrorList) {
	if n := o.TailLines; n != nil && *n < 0 {
		faults = append(faults, field.Invalid(field.NewPath("tailLines"), *n, "must be greater than or equal to 0"))
	}
	if n := o.LimitBytes; n != nil && *n < 1 {
		faults = append(faults, field.Invalid(field.NewPath("limitBytes"), *n, "must be greater than 0"))
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		faults = append(faults, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		faults = append(faults, field.Invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0"))
	}
	if o.Stream != nil {
		faults = append(faults, field.Forbidden(field.NewPath("stream"), "may not be specified"))
	}
	return faults
}

// logQuery is what the kubelet is told of the options.
func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	for name, set := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if set {
			q.Set(name, "true")
		}
	}
	for name, n := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if n != nil {
			q.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	return q
}

// copyLog passes on what the kubelet answers.
func (s *Streams) copyLog(w http.ResponseWriter, r *http.Request, at *url.URL, transport http.RoundTripper, name string, follow bool) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		s.cfg.Fail(w, r, err)
		return
	}
	answer, err := transport.RoundTrip(ask)
	if err != nil {
		s.cfg.Fail(w, r, fmt.Errorf("Get %q: %w", at, err))
		return
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 == 3 { // a kubelet has no business to send anyone elsewhere
		s.cfg.Fail(w, r, fmt.Errorf("Get %q: redirects forbidden", at))
		return
	}
	if answer.StatusCode < http.StatusOK || answer.StatusCode > http.StatusPartialContent {
		s.cfg.Fail(w, r, refused(answer, name))
		return
	}
	if streaming.IsWebSocket(r) {
		streaming.Copy(w, r, answer.Body, s.cfg.Fail)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Content-Type-Options", "nosniff") // pods must not have their pages shown in the apiserver's name
	to := http.NewResponseController(w)
	if !follow {
		_, _ = io.Copy(w, answer.Body) // either end may go at any time
		return
	}
	_ = to.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := answer.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = to.Flush()
		}
		if err != nil {
			return
		}
	}
}

// refused is a kubelet's refusal as the API tells it.
func refused(answer *http.Response, name string) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	switch answer.StatusCode {
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(errors.New(string(text)))
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(string(text))
	}
	return apierrors.NewGenericServerResponse(answer.StatusCode, "", schema.GroupResource{Resource: "pods/log"}, name, string(text), 0, false)
}
