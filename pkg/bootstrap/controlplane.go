package bootstrap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sampan-project/sampan/pkg/bootstrap/addons"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubeconfig"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubelet"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/preflight"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/bootstrap/token"
	"github.com/sampan-project/sampan/pkg/daemon"
)

func (i *Init) preflight(ctx context.Context, say phase.Say) error {
	images := []string{"pause", "apiserver", "scheduler", "controller-manager"}
	if !i.NoProxy {
		images = append(images, "proxy")
	}
	if !i.NoDNS {
		images = append(images, "coredns")
	}
	if i.PodNetwork == settings.Flannel {
		images = append(images, "flannel")
	}
	return i.check(ctx, preflight.Wants{ControlPlane: true, Port: i.Port, DataDir: i.DataDir, OwnEtcd: !i.External(), Images: images}, say)
}

func (i *Init) startKubelet(ctx context.Context, say phase.Say) error {
	v, err := i.fill()
	if err != nil {
		return err
	}
	if err := i.configureKubelet(v.KubeletConfiguration, true); err != nil {
		return err
	}
	return i.services().kubelet(ctx, i.machine, say)
}

// How long the parts of a cluster may take to come up.
const (
	controlPlaneWithin = 4 * time.Minute
	nodeWithin         = 4 * time.Minute
	writeWithin        = time.Minute
)

// endpoint is a health check that answers 200 when a daemon is well.
type endpoint struct{ who, url, log string }

func (i *Init) waitControlPlane(ctx context.Context, say phase.Say) error {
	pods := layout.PodLogs + "/kube-system_kube-%s-*/"
	client, err := i.healthClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, controlPlaneWithin)
	defer cancel()
	for _, e := range []endpoint{
		{"the apiserver", "https://" + net.JoinHostPort(i.Advertise, strconv.Itoa(i.Port)) + "/readyz", fmt.Sprintf(pods, "apiserver")},
		{"the kubelet", "http://127.0.0.1:10248/healthz", layout.LogDir + "/kubelet.log or journalctl -u kubelet"},
		{"the controller-manager", "https://127.0.0.1:10257/healthz", fmt.Sprintf(pods, "controller-manager")},
		{"the scheduler", "https://127.0.0.1:10259/livez", fmt.Sprintf(pods, "scheduler")},
	} {
		began := i.clock.Now()
		err := i.await(ctx, 100*time.Millisecond, func(ctx context.Context) error { return healthy(ctx, client, e.url) })
		if err != nil {
			return fmt.Errorf("%s does not answer within %s (%s says why): %w", e.who, controlPlaneWithin, e.log, err)
		}
		say("%s is well after %s", e.who, i.clock.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

// healthClient trusts the cluster's authority for the apiserver; the other two have certificates that nobody
// vouches for, and answer on the loopback interface alone.
func (i *Init) healthClient() (*http.Client, error) {
	authorities, err := daemon.NewAuthorities(filepath.Join(i.On(i.CertDir), "ca.crt"))
	if err != nil {
		return nil, err
	}
	dial := &net.Dialer{Timeout: 2 * time.Second}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: dial.DialContext, DisableKeepAlives: true,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			loopback := host == "127.0.0.1"
			return (&tls.Dialer{NetDialer: dial, Config: &tls.Config{RootCAs: authorities.Pool(), InsecureSkipVerify: loopback, ServerName: host}}).DialContext(ctx, network, address)
		},
	}}, nil
}

func healthy(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
	}
	return nil
}

// admin is the kubeconfig to set up a cluster with: the one that needs no rule, as long as it is there.
func (i *Init) admin() string {
	for _, file := range []string{layout.SuperAdminConf, layout.AdminConf} {
		if _, err := os.Stat(i.On(file)); err == nil {
			return i.On(file)
		}
	}
	return i.On(layout.AdminConf)
}

func (i *Init) client() (kubernetes.Interface, error) { return kubeconfig.Client(i.admin()) }

// apply writes a template's objects, again if the apiserver is not up to it yet.
func (i *Init) apply(ctx context.Context, files ...string) error {
	v, err := i.fill()
	if err != nil {
		return err
	}
	w, err := addons.NewWriter(i.admin())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	for _, file := range files {
		var refused error
		err := i.await(ctx, 500*time.Millisecond, func(ctx context.Context) error {
			err := w.Template(ctx, file, v)
			if permanent(err) {
				refused = err
				return nil
			}
			return err
		})
		if err = errors.Join(err, refused); err != nil {
			return err
		}
	}
	return nil
}

// permanent tells whether another try would end the same.
func permanent(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsUnauthorized(err)
}

func (i *Init) uploadConfig(ctx context.Context, _ phase.Say) error {
	return i.apply(ctx, "cluster/admins.yaml", "cluster/config.yaml")
}

// markControlPlane gives the node its role's label and taint, or takes the taint away.
func (i *Init) markControlPlane(ctx context.Context, say phase.Say) error {
	client, err := i.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodeWithin)
	defer cancel()
	return i.await(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, i.NodeName, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("the kubelet has not registered this machine as %s (its log says why): %w", i.NodeName, err)
		}
		if !mark(node, kubelet.Taints(i.Settings, true)) {
			return nil
		}
		if _, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err == nil {
			say("node %s is marked as control plane%s", i.NodeName, map[bool]string{true: "", false: ", and takes ordinary pods"}[i.TaintControl])
		}
		return err
	})
}

// mark puts labels and taints onto the node and tells whether that changed it.
func mark(node *corev1.Node, taints []corev1.Taint) (changed bool) {
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	for _, label := range []string{kubelet.ControlPlane, "node.kubernetes.io/exclude-from-external-load-balancers"} {
		if _, ok := node.Labels[label]; !ok {
			node.Labels[label], changed = "", true
		}
	}
	var kept []corev1.Taint
	for _, t := range node.Spec.Taints {
		if t.Key != kubelet.ControlPlane {
			kept = append(kept, t)
		}
	}
	had := len(kept) < len(node.Spec.Taints)
	wants := false
	for _, t := range taints {
		if t.Key == kubelet.ControlPlane {
			kept, wants = append(kept, t), true
		}
	}
	if had != wants {
		node.Spec.Taints, changed = kept, true
	}
	return changed
}

func (i *Init) bootstrapToken(ctx context.Context, _ phase.Say) error {
	v, err := i.fill()
	if err != nil {
		return err
	}
	if v.ClusterInfo, err = i.clusterInfo(); err != nil {
		return err
	}
	if err := i.apply(ctx, "cluster/joining.yaml"); err != nil {
		return err
	}
	client, err := i.client()
	if err != nil {
		return err
	}
	t, err := token.New(i.Token, i.TokenTTL, i.clock.Now())
	if err != nil {
		return err
	}
	t.Description = "The default bootstrap token, made by ctl init."
	i.token = t.String()
	if err := token.Create(ctx, client, t, true); err != nil {
		return err
	}
	for _, extra := range i.ExtraToken {
		life := i.TokenTTL
		if extra.TTL != nil {
			life = extra.TTL.Duration
		}
		if t, err = token.New(extra.Token, life, i.clock.Now()); err != nil {
			return err
		}
		t.Description = extra.Description
		if len(extra.Usages) > 0 {
			t.Usages = extra.Usages
		}
		if len(extra.Groups) > 0 {
			t.Groups = extra.Groups
		}
		if err := token.Create(ctx, client, t, true); err != nil {
			return err
		}
	}
	return nil
}

func (i *Init) addon(file string, wanted func() bool) func(context.Context, phase.Say) error {
	return func(ctx context.Context, say phase.Say) error {
		if !wanted() {
			say("left out, as the configuration says")
			return nil
		}
		return i.apply(ctx, file)
	}
}
