// Package stats measures the node, its pods and their containers: from the runtime, from cgroups where the
// runtime does not know, and from the kernel. It answers in the forms that monitoring asks for.
package stats

import (
	"cmp"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Config is what a Provider is made of.
type Config struct {
	NodeName string
	Runtime  cri.Runtime
	// Pods are the pods of the node with their statuses.
	Pods func() []*corev1.Pod
	// RootDir is the kubelet's directory, whose file system is the node's ("/var/lib/kubelet").
	RootDir string
	// CgroupRoot is where cgroup file systems are mounted; empty: /sys/fs/cgroup. ProcRoot likewise: /proc.
	CgroupRoot string
	ProcRoot   string
	// StartedAt is when this kubelet started, for the node's start time where /proc tells none.
	StartedAt time.Time
	Clock     clock.PassiveClock
	Log       logr.Logger
}

// Provider measures when it is asked. It is safe for use by several at once.
type Provider struct {
	cfg Config

	mu   sync.Mutex
	last map[string]sample // by what was measured, for rates
}

// sample is one reading of a CPU counter, with the rate that was last derived from two of them.
type sample struct {
	at    time.Time
	nanos uint64
	rate  uint64 // nanocores; 0 before there were two readings
	known bool
}

// New makes a Provider.
func New(cfg Config) *Provider {
	cfg.CgroupRoot = cmp.Or(cfg.CgroupRoot, "/sys/fs/cgroup")
	cfg.ProcRoot = cmp.Or(cfg.ProcRoot, "/proc")
	return &Provider{cfg: cfg, last: map[string]sample{}}
}
