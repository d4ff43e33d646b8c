package hook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
)

var (
	pod       = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}}
	container = &corev1.Container{Name: "app"}
)

func runner(output string, code int, events *[]string) *Runner {
	return &Runner{Clock: clock.RealClock{}, Log: logr.Discard(),
		Exec: func(context.Context, string, []string, time.Duration) ([]byte, int, error) {
			return []byte(output), code, nil
		},
		Event: func(_ *corev1.Pod, _, _, reason, _ string) { *events = append(*events, reason) }}
}

func TestCommandThatFailsIsAnErrorWithItsOutput(t *testing.T) {
	handler := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "x"}}}
	if err := runner("", 0, nil).Run(t.Context(), pod, container, "id", "", handler); err != nil {
		t.Errorf("successful command: %v", err)
	}
	err := runner("no such thing\n", 126, nil).Run(t.Context(), pod, container, "id", "", handler)
	want := `Exec lifecycle hook ([sh -c x]) for Container "app" in Pod "ns/p" failed - error: command 'sh -c x' exited with 126: no such thing, message: "no such thing\n"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHTTPHookTakesAnyAnswerAndFallsBackFromHTTPS(t *testing.T) {
	var agent, secret string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent, secret = r.UserAgent(), r.Header.Get("Authorization")
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	get := &corev1.HTTPGetAction{Port: intstr.FromString(u.Port()), Scheme: corev1.URISchemeHTTPS, Path: "/",
		HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: "Bearer secret"}}}
	h := runner("", 0, &events)
	if err := h.Run(t.Context(), pod, container, "id", u.Hostname(), &corev1.LifecycleHandler{HTTPGet: get}); err != nil {
		t.Fatal(err)
	}
	if agent != "kube-lifecycle/1.36" || secret != "" || len(events) != 1 || events[0] != "LifecycleHTTPFallback" {
		t.Errorf("agent %q, secret %q, events %q", agent, secret, events)
	}
	server.Close()
	err = h.Run(t.Context(), pod, container, "id", u.Hostname(), &corev1.LifecycleHandler{HTTPGet: get})
	if err == nil || !strings.HasPrefix(err.Error(), `HTTP lifecycle hook (/) for Container "app" in Pod "ns/p" failed - error: `) {
		t.Errorf("refused connection: %v", err)
	}
}

func TestSleepEndsWithItsTimeOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}
		start := time.Now()
		if err := runner("", 0, nil).Run(t.Context(), pod, container, "id", "", handler); err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("slept %v, %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := runner("", 0, nil).Run(ctx, pod, container, "id", "", handler); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short: %v", err)
		}
	})
}
