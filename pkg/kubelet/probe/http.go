package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Port resolves a port by number or by its name among the container's ports.
func Port(port intstr.IntOrString, c *corev1.Container) (int, error) {
	n := port.IntValue()
	if port.Type == intstr.String {
		found := false
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				n, found = int(p.ContainerPort), true
				break
			}
		}
		if !found {
			var err error
			if n, err = strconv.Atoi(port.StrVal); err != nil {
				return 0, fmt.Errorf("port %q is not named by container %s", port.StrVal, c.Name)
			}
		}
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", n)
	}
	return n, nil
}

// Request makes the request of a probe or hook to a container of the pod at ip.
func Request(ctx context.Context, get *corev1.HTTPGetAction, c *corev1.Container, ip, userAgent string) (*http.Request, error) {
	port, err := Port(get.Port, c)
	if err != nil {
		return nil, err
	}
	host := cmp.Or(get.Host, ip)
	u, err := url.Parse(get.Path)
	if err != nil {
		// What cannot be parsed is taken as a path.
		u = &url.URL{Path: get.Path}
	}
	if u.Scheme = strings.ToLower(string(get.Scheme)); u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range get.HTTPHeaders {
		r.Header.Add(h.Name, h.Value)
	}
	standard(r.Header, "User-Agent", userAgent)
	standard(r.Header, "Accept", "*/*")
	if name := r.Header.Get("Host"); name != "" {
		r.Host = name
	}
	return r, nil
}

// standard sets a header that was not given; one given as empty is not sent.
func standard(h http.Header, name, value string) {
	given, ok := h[name]
	switch {
	case !ok:
		h.Set(name, value)
	case len(given) > 0 && given[0] == "" && name == "User-Agent":
		h[name] = []string{""} // net/http sends its own otherwise
	case len(given) > 0 && given[0] == "":
		h.Del(name)
	}
}

func (p *prober) http(ctx context.Context, t *target, timeout time.Duration) (outcome, error) {
	r, err := Request(ctx, t.spec.HTTPGet, t.container, t.ip, userAgent)
	if err != nil {
		return outcome{}, err
	}
	client := &http.Client{Transport: p.transport, CheckRedirect: sameHost, Timeout: timeout}
	response, err := client.Do(r)
	if err != nil {
		return outcome{result: Failure, output: err.Error()}, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOutput))
	if err != nil {
		return outcome{result: Failure, output: err.Error()}, nil
	}
	text := shorten(body)
	switch code := response.StatusCode; {
	case code >= 300 && code < 400:
		return outcome{result: Success, warn: true, output: "Probe terminated redirects, Response body: " + text}, nil
	case code >= 200 && code < 300:
		return outcome{result: Success, output: text}, nil
	default:
		return outcome{result: Failure, output: fmt.Sprintf("HTTP probe failed with statuscode: %d", code)}, nil
	}
}

// sameHost follows redirects within the host that was asked; others are not the container's health.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}
