package pod

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The back-off of containers that end again and again.
const (
	FirstBackoff = 10 * time.Second
	LastBackoff  = 5 * time.Minute
)

// Backoff is how long the next start of a container waits, counted from its last end. The zero value waits
// not at all.
type Backoff struct {
	Delay time.Duration
	Since time.Time // when Delay was last raised
}

// Until is when a container that ended at a time may start again; zero: at once.
func (b Backoff) Until(ended time.Time) time.Time {
	if b.Delay == 0 || b.expired(ended) {
		return time.Time{}
	}
	return ended.Add(b.Delay)
}

// expired says whether the container had run well for so long that what was before is forgotten.
func (b Backoff) expired(ended time.Time) bool { return ended.Sub(b.Since) > 2*LastBackoff }

// Next is the back-off after one more start, at now, of a container that ended at a time.
func (b Backoff) Next(ended, now time.Time) Backoff {
	if b.Delay == 0 || b.expired(ended) {
		return Backoff{Delay: FirstBackoff, Since: now}
	}
	return Backoff{Delay: min(2*b.Delay, LastBackoff), Since: now}
}

// Hash identifies what of a container's specification may not change while it runs: another hash makes a
// new container.
func Hash(c *corev1.Container) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Name + "\x00" + c.Image))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// shouldRestart says whether a container that ended as ended says runs again.
func shouldRestart(p *corev1.Pod, c *corev1.Container, sidecar bool, ended *Container) bool {
	if sidecar || ended.State == Created || ended.State == Unknown {
		return true // in the latter cases it has not run to an end
	}
	if c.RestartPolicy != nil {
		for _, rule := range c.RestartPolicyRules {
			if rule.Action == corev1.ContainerRestartRuleActionRestart && matches(rule.ExitCodes, ended.ExitCode) {
				return true
			}
		}
		return byPolicy(corev1.RestartPolicy(*c.RestartPolicy), ended)
	}
	return byPolicy(p.Spec.RestartPolicy, ended)
}

func byPolicy(policy corev1.RestartPolicy, ended *Container) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return ended.State != Exited || ended.ExitCode != 0
	default:
		return true
	}
}

func matches(codes *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	if codes == nil {
		return false
	}
	in := slices.Contains(codes.Values, code)
	return in == (codes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}
