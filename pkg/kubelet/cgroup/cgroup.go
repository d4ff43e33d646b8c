// Package cgroup keeps the tree of control groups that pods live in: one group for each class of service
// and one for each pod, on cgroup v1 and v2. It also computes what the runtime is told of a container's
// resources. It knows the kernel's files, and nothing of containers.
package cgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// The drivers, as they are named in configurations.
const (
	Cgroupfs = "cgroupfs"
	Systemd  = "systemd"
)

// Config is what a Manager works with.
type Config struct {
	Driver string // Cgroupfs or Systemd; it must be the runtime's too
	Root   string // cgroup under which kubepods is made; empty: the root
	// PerQOS makes a group for each class and pod; without it pods' groups are the runtime's affair.
	PerQOS      bool
	CPUQuota    bool          // enforce cpu limits
	QuotaPeriod time.Duration // zero: 100 ms
	PidsLimit   int64         // processes of a pod; not positive: no limit
	// EnforcePods holds all pods together to what Setup is told.
	EnforcePods bool
	// SingleProcessOOMKill lets the kernel kill one process of a container instead of all (v2).
	SingleProcessOOMKill bool

	Clock clock.Clock
	Log   logr.Logger

	// Where things are; empty for the usual places. Tests and containers have others.
	Mount     string // /sys/fs/cgroup
	MountInfo string // /proc/self/mountinfo
	RunDir    string // /run/systemd/system, which exists where systemd runs
	// Systemctl runs systemctl; nil: the program.
	Systemctl func(ctx context.Context, args ...string) error
}

// Manager keeps the groups. It is safe for concurrent use for different pods.
type Manager struct {
	config Config
	tree   tree
	names  naming
}

// tree is the kernel's side: v1 or v2. Paths are absolute within the cgroup file system.
type tree interface {
	create(path string) error
	apply(path string, l Limits) error
	// remove kills what still runs in path and below, and removes it. What is not there is no error.
	remove(path string) error
	// children names the groups directly below path.
	children(path string) ([]string, error)
	version() int
	hasSwap() bool
}

// Limits are the settings of a group; zero values leave the kernel's.
type Limits struct {
	CPUShares uint64
	CPUQuota  int64 // microseconds in each CPUPeriod; -1: none
	CPUPeriod uint64
	Memory    int64 // bytes; -1: no limit
	Pids      int64
	HugePages map[string]int64 // by page size, as "2MB"
}

// New finds out which cgroups the machine has. It changes nothing; Setup does.
func New(c Config) (*Manager, error) {
	set(&c.Mount, "/sys/fs/cgroup")
	set(&c.MountInfo, "/proc/self/mountinfo")
	set(&c.RunDir, "/run/systemd/system")
	c.QuotaPeriod = cmp.Or(c.QuotaPeriod, 100*time.Millisecond)
	t, err := detect(c)
	if err != nil {
		return nil, err
	}
	m := &Manager{config: c, tree: t}
	switch c.Driver {
	case "", Cgroupfs:
		m.names = plainNames(c.Root)
	case Systemd:
		if _, err := os.Stat(c.RunDir); err != nil {
			return nil, errors.New("cgroupDriver is systemd, and systemd does not run on this machine: set cgroupDriver: cgroupfs (--cgroup-driver) here and SystemdCgroup = false in the container runtime")
		}
		if c.Systemctl == nil {
			m.config.Systemctl = systemctl
		}
		m.names = sliceNames(c.Root)
		m.tree = &sliceTree{tree: t, run: m.config.Systemctl, settings: c.RunDir + ".control"}
	default:
		return nil, fmt.Errorf("cgroupDriver is %q: use cgroupfs or systemd", c.Driver)
	}
	return m, nil
}

func set(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Version is the version of cgroups that the machine has: 1 or 2.
func (m *Manager) Version() int { return m.tree.version() }

// Setup makes the groups of the classes. allocatable is what all pods may use together: the node's
// capacity less the reserves, eviction thresholds not taken off. Call it again when that changes.
func (m *Manager) Setup(allocatable corev1.ResourceList) error {
	if !m.config.PerQOS {
		return nil
	}
	all := Limits{CPUShares: Shares(allocatable.Cpu().MilliValue()), HugePages: hugePages(allocatable)}
	if m.config.EnforcePods {
		all.Memory = allocatable.Memory().Value()
		if pids, ok := allocatable["pid"]; ok {
			all.Pids = pids.Value()
		}
	}
	if err := m.make(m.names.class(corev1.PodQOSGuaranteed), all); err != nil {
		return err
	}
	for _, class := range []corev1.PodQOSClass{corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		if err := m.make(m.names.class(class), Limits{CPUShares: minShares}); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) make(path string, l Limits) error {
	if err := m.tree.create(path); err != nil {
		return fmt.Errorf("making the cgroup %s: %w", path, err)
	}
	if err := m.tree.apply(path, l); err != nil {
		return fmt.Errorf("setting the limits of the cgroup %s: %w", path, err)
	}
	return nil
}

// SyncClasses gives the burstable class the weight of its pods; call it when pods come, go or are resized.
func (m *Manager) SyncClasses(pods []*corev1.Pod) error {
	if !m.config.PerQOS {
		return nil
	}
	var milli int64
	for _, p := range pods {
		if QOS(p) == corev1.PodQOSBurstable {
			requests := podRequests(p)
			milli += requests.Cpu().MilliValue()
		}
	}
	path := m.names.class(corev1.PodQOSBurstable)
	if err := m.tree.apply(path, Limits{CPUShares: Shares(milli)}); err != nil {
		return fmt.Errorf("setting the weight of the cgroup %s: %w", path, err)
	}
	return nil
}

// Pod makes the pod's group, or sets the limits of an existing one, and answers what the runtime must be
// told as the parent of the pod's sandbox: always a whole path. Of a slice the last name would do to make groups, but
// containerd 1.6 measures pods in the file system, where it joins this to the mount point.
func (m *Manager) Pod(pod *corev1.Pod) (parent string, err error) {
	if !m.config.PerQOS {
		return m.names.root(), nil
	}
	path := m.names.pod(QOS(pod), pod.UID)
	return path, m.make(path, m.podLimits(pod))
}

// PodPath is the path of the pod's group within the cgroup file system, whether it exists or not.
func (m *Manager) PodPath(pod *corev1.Pod) string { return m.names.pod(QOS(pod), pod.UID) }

// Remove kills what is left of a pod and removes its group, whatever its class. It may be repeated.
func (m *Manager) Remove(uid types.UID) error {
	if !m.config.PerQOS {
		return nil
	}
	var all []error
	for _, class := range classes {
		if err := m.tree.remove(m.names.pod(class, uid)); err != nil {
			all = append(all, fmt.Errorf("removing the cgroup of pod %s: %w", uid, err))
		}
	}
	return errors.Join(all...)
}

// OnDisk lists the pods that have groups.
func (m *Manager) OnDisk() ([]types.UID, error) {
	if !m.config.PerQOS {
		return nil, nil
	}
	var all []types.UID
	for _, class := range classes {
		names, err := m.tree.children(m.names.class(class))
		if err != nil {
			return nil, fmt.Errorf("listing the cgroups of pods: %w", err)
		}
		for _, name := range names {
			if uid, ok := m.names.uid(class, name); ok {
				all = append(all, uid)
			}
		}
	}
	return all, nil
}

var classes = []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort}

// naming is how groups are called.
type naming struct {
	prefix []string // the names from the root to kubepods
	slices bool
}

func plainNames(root string) naming {
	return naming{prefix: append(split(root), "kubepods")}
}

func sliceNames(root string) naming {
	base := strings.TrimSuffix(path.Base("/"+root), ".slice")
	return naming{prefix: append(strings.FieldsFunc(base, func(r rune) bool { return r == '-' || r == '/' }), "kubepods"), slices: true}
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// path joins names: /a/b/c, or for systemd /a.slice/a-b.slice/a-b-c.slice.
func (n naming) path(names ...string) string {
	if !n.slices {
		return "/" + strings.Join(names, "/")
	}
	p := "/"
	for i := range names {
		p = path.Join(p, strings.Join(names[:i+1], "-")+".slice")
	}
	return p
}

func (n naming) root() string {
	if len(n.prefix) == 1 {
		return ""
	}
	return n.path(n.prefix[:len(n.prefix)-1]...)
}

func (n naming) classNames(class corev1.PodQOSClass) []string {
	names := append([]string{}, n.prefix...)
	if class != corev1.PodQOSGuaranteed {
		names = append(names, strings.ToLower(string(class)))
	}
	return names
}

func (n naming) class(class corev1.PodQOSClass) string { return n.path(n.classNames(class)...) }

func (n naming) pod(class corev1.PodQOSClass, uid types.UID) string {
	name := "pod" + string(uid)
	if n.slices {
		name = strings.ReplaceAll(name, "-", "_")
	}
	return n.path(append(n.classNames(class), name)...)
}

// uid reads a pod's UID from the name of a group of the class.
func (n naming) uid(class corev1.PodQOSClass, name string) (types.UID, bool) {
	if n.slices {
		var ok bool
		if name, ok = strings.CutPrefix(name, strings.Join(n.classNames(class), "-")+"-"); !ok {
			return "", false
		}
		if name, ok = strings.CutSuffix(name, ".slice"); !ok {
			return "", false
		}
		name = strings.ReplaceAll(name, "_", "-")
	}
	uid, ok := strings.CutPrefix(name, "pod")
	return types.UID(uid), ok && uid != ""
}
