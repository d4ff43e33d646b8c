package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver/resources/core"
)

// Ports on which the other parts of a control plane tell their health, and how long they may take to.
const (
	controllerManagerPort = 10257
	schedulerPort         = 10259
	healthTimeout         = 20 * time.Second
)

// components are the parts of the control plane beside the apiserver, as far as they are on its own machine, and
// the etcds that it was pointed at.
func (s *Server) components() []core.Component {
	list := []core.Component{
		{Name: "scheduler", Check: localHealth(schedulerPort)},
		{Name: "controller-manager", Check: localHealth(controllerManagerPort)},
	}
	for i := range max(1, len(s.cfg.Etcd.Endpoints)) {
		list = append(list, core.Component{Name: "etcd-" + strconv.Itoa(i), Check: func(ctx context.Context) (string, error) {
			return "ok", s.etcd.Healthy(ctx)
		}})
	}
	return list
}

// localHealth asks a daemon on this machine. Its certificate is its own: who can listen there could do worse.
func localHealth(port int) func(context.Context) (string, error) {
	client := &http.Client{Timeout: healthTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, //nolint:gosec // see above
	}}
	url := "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/healthz"
	return func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		answer, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusBadRequest {
			return "", fmt.Errorf("HTTP probe failed with statuscode: %d", answer.StatusCode)
		}
		text := make([]byte, 1<<10)
		n, err := answer.Body.Read(text)
		if n == 0 && err != nil {
			return "", errors.New("the daemon answers nothing")
		}
		return strings.TrimSpace(string(text[:n])), nil
	}
}
