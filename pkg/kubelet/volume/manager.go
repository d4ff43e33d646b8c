// Package volume makes the volumes of pods on the node's disk, keeps their contents up to date, answers
// how containers mount them and takes them down. It must not know when pods start and end.
//
// On disk it is laid out as every kubelet does: <root>/pods/<uid>/volumes/kubernetes.io~<type>/<name>.
package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/mount-utils"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

// Tokens answers requests for service account tokens.
type Tokens interface {
	Token(ctx context.Context, namespace, serviceAccount string, r *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
	RefreshAt(namespace, serviceAccount string, r *authenticationv1.TokenRequest) time.Time
	Forget(pod types.UID)
}

// Config is what a Manager needs.
type Config struct {
	Root        string // <root-dir>/pods
	Objects     object.Objects
	Tokens      Tokens
	Allocatable func() corev1.ResourceList // of the node
	Mounter     mount.Interface            // nil: the node's
	Clock       clock.PassiveClock
	Log         logr.Logger
	// RecursiveReadOnly tells whether the runtime can mount recursively read-only for this pod; nil: no.
	RecursiveReadOnly func(pod *corev1.Pod) bool
}

// Manager sets up and takes down volumes. It is safe for use by several goroutines, as long as one at a
// time is busy with the same pod.
type Manager struct {
	Config

	mu        sync.Mutex
	refreshAt map[types.UID]time.Time
}

// New returns a Manager.
func New(c Config) *Manager {
	if c.Mounter == nil {
		c.Mounter = mount.NewWithoutSystemd("")
	}
	return &Manager{Config: c, refreshAt: map[types.UID]time.Time{}}
}

// MountError says which volume could not be set up.
type MountError struct {
	Volume string
	Err    error
}

// Error implements error.
func (e *MountError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

// Unwrap gives the cause.
func (e *MountError) Unwrap() error { return e.Err }

// Setup makes every volume that a container of the pod mounts, or brings it up to date. It is idempotent, and meant to be called
// before containers start and again whenever something that a volume holds may have changed. All volumes
// are tried; the error joins a *MountError for each that failed.
func (m *Manager) Setup(ctx context.Context, pod *corev1.Pod) error {
	if err := m.check(pod.UID); err != nil {
		return err
	}
	s := &setup{Manager: m, ctx: ctx, pod: pod}
	var failed []error
	used := usedVolumes(pod)
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if !used[v.Name] {
			continue
		}
		if err := s.volume(v); err != nil {
			failed = append(failed, &MountError{v.Name, err})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.refreshAt.IsZero() {
		delete(m.refreshAt, pod.UID)
	} else {
		m.refreshAt[pod.UID] = s.refreshAt
	}
	return errors.Join(failed...)
}

// RefreshAt is when Setup should be called again because a token grows old; zero: never.
func (m *Manager) RefreshAt(pod types.UID) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refreshAt[pod]
}

// OnDisk lists the pods that have a directory, running or not: what a kubelet finds after a restart.
func (m *Manager) OnDisk() ([]types.UID, error) {
	entries, err := os.ReadDir(m.Root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing the pods' directories: %w", err)
	}
	var all []types.UID
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, types.UID(e.Name()))
		}
	}
	return all, nil
}

// PodDir is where everything of a pod lies.
func (m *Manager) PodDir(pod types.UID) string { return filepath.Join(m.Root, string(pod)) }

// Path is where a volume of the pod lies on the node.
func (m *Manager) Path(pod types.UID, v *corev1.Volume) (string, error) {
	if v.HostPath != nil {
		return v.HostPath.Path, nil
	}
	p, err := pluginOf(v)
	if err != nil {
		return "", err
	}
	return m.dir(pod, p, v.Name), nil
}

func (m *Manager) dir(pod types.UID, p *plugin, name string) string {
	return filepath.Join(m.PodDir(pod), "volumes", "kubernetes.io~"+p.name, name)
}

// check refuses a UID that would lead out of Root.
func (m *Manager) check(pod types.UID) error {
	if uid := string(pod); uid == "" || uid == "." || uid == ".." || strings.ContainsAny(uid, "/\x00") {
		return fmt.Errorf("pod UID %q cannot be the name of a directory", pod)
	}
	return nil
}
