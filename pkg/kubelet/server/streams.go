package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/streaming"
)

// streamRoutes are exec, attach, port-forward and run.
func (s *Server) streamRoutes(mux *http.ServeMux) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, at := range []string{"/{namespace}/{pod}/{container}", "/{namespace}/{pod}/{uid}/{container}"} {
			mux.HandleFunc(method+" /exec"+at, s.failing(s.exec))
			mux.HandleFunc(method+" /attach"+at, s.failing(s.attach))
		}
		for _, at := range []string{"/{namespace}/{pod}", "/{namespace}/{pod}/{uid}"} {
			mux.HandleFunc(method+" /portForward"+at, s.failing(s.portForward))
		}
	}
	for _, at := range []string{"/{namespace}/{pod}/{container}", "/{namespace}/{pod}/{uid}/{container}"} {
		mux.HandleFunc("POST /run"+at, s.failing(s.run))
	}
}

// fault is an error with the status that the client gets.
type fault struct {
	code int
	text string
}

func (f *fault) Error() string { return f.text }

// fail answers with an error as text.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	var own *fault
	var api apierrors.APIStatus
	switch {
	case errors.As(err, &own):
		code = own.code
	case errors.As(err, &api):
		code = int(api.Status().Code)
	case status.Code(err) == codes.NotFound:
		code = http.StatusNotFound
	case status.Code(err) == codes.ResourceExhausted:
		code = http.StatusTooManyRequests
	}
	if code >= http.StatusInternalServerError {
		s.cfg.Log.V(2).Info("A request failed", "path", r.URL.Path, "error", err.Error())
	}
	http.Error(w, err.Error(), code)
}

// failing makes a handler of one that leaves it to its caller to tell what failed.
func (s *Server) failing(handle func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

// podOf finds the pod that the path names. A UID that is another pod's of the same name is refused.
func (s *Server) podOf(r *http.Request) (*corev1.Pod, error) {
	pod := s.cfg.Host.Pod(r.PathValue("namespace"), r.PathValue("pod"))
	if uid := r.PathValue("uid"); pod == nil || uid != "" && types.UID(uid) != pod.UID && uid != pod.Annotations["kubernetes.io/config.hash"] {
		return nil, &fault{http.StatusNotFound, "pod does not exist"}
	}
	return pod, nil
}

// containerOf finds the running container that the path names.
func (s *Server) containerOf(r *http.Request) (string, error) {
	pod, err := s.podOf(r)
	if err != nil {
		return "", err
	}
	name := r.PathValue("container")
	id, err := s.runningContainer(r.Context(), pod.UID, name)
	if err == nil && id == "" {
		err = &fault{http.StatusInternalServerError, fmt.Sprintf("container not found (%q)", name)}
	}
	return id, err
}

// commandOf reads which streams the client wants.
func commandOf(r *http.Request) (streaming.Command, error) {
	q := r.URL.Query()
	c := streaming.Command{
		Stdin: q.Get(corev1.ExecStdinParam) == "1", Stdout: q.Get(corev1.ExecStdoutParam) == "1",
		Stderr: q.Get(corev1.ExecStderrParam) == "1", TTY: q.Get(corev1.ExecTTYParam) == "1",
	}
	if c.TTY {
		c.Stderr = false // a terminal has one output
	}
	if !c.Stdin && !c.Stdout && !c.Stderr {
		return c, &fault{http.StatusBadRequest, "you must specify at least 1 of stdin, stdout, stderr"}
	}
	return c, nil
}

func (s *Server) exec(w http.ResponseWriter, r *http.Request) error {
	return s.command(w, r, func(ctx context.Context, id string, c streaming.Command) (string, error) {
		return s.cfg.Runtime.Exec(ctx, &cri.ExecRequest{
			ContainerId: id, Cmd: r.URL.Query()[corev1.ExecCommandParam], Tty: c.TTY, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		})
	})
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) error {
	return s.command(w, r, func(ctx context.Context, id string, c streaming.Command) (string, error) {
		return s.cfg.Runtime.Attach(ctx, &cri.AttachRequest{ContainerId: id, Tty: c.TTY, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr})
	})
}

func (s *Server) command(w http.ResponseWriter, r *http.Request, prepare func(ctx context.Context, id string, c streaming.Command) (string, error)) error {
	c, err := commandOf(r)
	if err != nil {
		return err
	}
	id, err := s.containerOf(r)
	if err != nil {
		return err
	}
	at, err := prepare(r.Context(), id, c)
	if err != nil {
		return err
	}
	stream, err := s.stream(at)
	if err != nil {
		return err
	}
	stream.Command(w, r, c)
	return nil
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) error {
	ports, err := portsOf(r.URL.Query()["port"])
	if err != nil {
		return err
	}
	pod, err := s.podOf(r)
	if err != nil {
		return err
	}
	id, err := s.readySandbox(r.Context(), pod.UID)
	if err == nil && id == "" {
		err = fmt.Errorf("pod not found (%q)", pod.Name+"_"+pod.Namespace)
	}
	if err != nil {
		return err
	}
	asked := make([]int32, len(ports))
	for i, p := range ports {
		asked[i] = int32(p)
	}
	at, err := s.cfg.Runtime.PortForward(r.Context(), &cri.PortForwardRequest{PodSandboxId: id, Port: asked})
	if err != nil {
		return err
	}
	stream, err := s.stream(at)
	if err != nil {
		return err
	}
	stream.PortForward(w, r, ports)
	return nil
}

// portsOf reads ports from query values, each of which may be several separated by commas.
func portsOf(values []string) (ports []uint16, err error) {
	for _, v := range values {
		for text := range strings.SplitSeq(v, ",") {
			p, err := strconv.ParseUint(text, 10, 16)
			if err != nil {
				return nil, &fault{http.StatusBadRequest, fmt.Sprintf("unable to parse %q as a port: %v", text, err)}
			}
			if p == 0 {
				return nil, &fault{http.StatusBadRequest, fmt.Sprintf("port %q must be > 0", text)}
			}
			ports = append(ports, uint16(p))
		}
	}
	return ports, nil
}

// stream is the way to the runtime's streaming server.
func (s *Server) stream(at string) (*streaming.Stream, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the container runtime gave no usable address for the stream")
	}
	return &streaming.Stream{URL: u, Transport: s.runtime, Idle: s.cfg.StreamIdle, Fail: s.fail}, nil
}

// run executes a command and answers what it printed.
func (s *Server) run(w http.ResponseWriter, r *http.Request) error {
	id, err := s.containerOf(r)
	if err != nil {
		return err
	}
	cmd := strings.Split(r.URL.Query().Get("cmd"), " ")
	answer, err := s.cfg.Runtime.ExecSync(r.Context(), id, cmd, 0)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if answer.ExitCode != 0 {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = w.Write(append(answer.Stdout, answer.Stderr...)) // the client has gone where this fails
	return nil
}
