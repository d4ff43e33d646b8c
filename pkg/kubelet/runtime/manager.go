// Package runtime carries out what the pod state machine decides: it makes, starts, stops and removes
// sandboxes and containers through CRI, and reports what the runtime has. It decides nothing about when.
package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/image"
)

// Volumes are the pod's volumes, set up before its containers start.
type Volumes interface {
	Mounts(p *corev1.Pod, c *corev1.Container, env []*cri.KeyValue) ([]*cri.Mount, error)
}

// Cgroups are the node's control groups.
type Cgroups interface {
	// Pod makes the pod's group and answers its name for the runtime.
	Pod(p *corev1.Pod) (parent string, err error)
	Resources(p *corev1.Pod, c *corev1.Container) *cri.LinuxContainerResources
	// SandboxResources is what the runtime is told of the pod as a whole.
	SandboxResources(p *corev1.Pod) (overhead, resources *cri.LinuxContainerResources)
}

// Hooks run postStart and preStop.
type Hooks interface {
	Run(ctx context.Context, p *corev1.Pod, c *corev1.Container, containerID, ip string, h *corev1.LifecycleHandler) error
}

// Network is what a pod is told about names.
type Network struct {
	DNS      *cri.DNSConfig
	Hostname string // of the sandbox
}

// Config is what a Manager works with. All but the runtime may differ from node to node.
type Config struct {
	Runtime cri.Runtime
	Images  *image.Manager
	Volumes Volumes
	Cgroups Cgroups
	Hooks   Hooks
	// Network answers the resolver configuration and the host name of a pod. warn takes what is wrong with
	// them and does not keep the pod from running; it may be nil.
	Network func(p *corev1.Pod, warn func(reason, message string)) (Network, error)
	// Environment answers a container's environment; p has its addresses in its status.
	Environment func(ctx context.Context, p *corev1.Pod, c *corev1.Container) ([]*cri.KeyValue, error)
	// Expand puts the environment into command and arguments.
	Expand func(command, args []string, env []*cri.KeyValue) ([]string, []string)
	// Files answers the mounts of /etc/hosts and the termination log.
	Files func(p *corev1.Pod, c *corev1.Container, podDir string) ([]*cri.Mount, error)
	// Handler answers the runtime's handler of a RuntimeClass.
	Handler func(ctx context.Context, class string) (string, error)

	PodsDir          string // <root-dir>/pods
	LogsDir          string // /var/log/pods
	LinksDir         string // /var/log/containers; "" for no links
	SeccompDir       string // of localhost profiles
	SeccompByDefault bool

	// Made is told of the id of every sandbox and container before anything can be heard of it.
	Made  func(uid types.UID, id string)
	Event func(p *corev1.Pod, container, eventType, reason, message string)
	Clock clock.Clock
	Log   logr.Logger
}

// Manager speaks to the runtime about pods. It is safe for use by several goroutines.
type Manager struct{ Config }

// New makes a Manager.
func New(c Config) *Manager { return &Manager{c} }

// Error tells why a container or a sandbox could not be started: the reason that its status shows, and when
// to try again; zero: after the usual time.
type Error struct {
	Reason, Message string
	RetryAt         time.Time
}

func (e *Error) Error() string { return e.Message }

// Reasons of containers that could not be started.
const (
	CreateContainerConfigError = "CreateContainerConfigError"
	CreateContainerError       = "CreateContainerError"
	RunContainerError          = "RunContainerError"
	PostStartHookError         = "PostStartHookError"
)

// PodDir is where a pod's volumes and files are.
func (m *Manager) PodDir(uid types.UID) string { return filepath.Join(m.PodsDir, string(uid)) }

// LogDir is where the logs of a pod's containers are.
func (m *Manager) LogDir(p *corev1.Pod) string {
	return filepath.Join(m.LogsDir, strings.Join([]string{p.Namespace, p.Name, string(p.UID)}, "_"))
}

// logFile is a container's log below its pod's directory.
func logFile(container string, attempt uint32) string {
	return filepath.Join(container, fmt.Sprintf("%d.log", attempt))
}
