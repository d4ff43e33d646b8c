package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// probes judges the three probes of a container.
func probes(path *field.Path, c *corev1.Container, grace int64) field.ErrorList {
	faults := onceIsEnough(path.Child("livenessProbe"), c.LivenessProbe, grace)
	if p := c.ReadinessProbe; p != nil {
		at := path.Child("readinessProbe")
		faults = append(faults, probe(at, p, grace)...)
		if p.TerminationGracePeriodSeconds != nil {
			faults = append(faults, field.Invalid(at.Child("terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
		}
	}
	return append(faults, onceIsEnough(path.Child("startupProbe"), c.StartupProbe, grace)...)
}

// onceIsEnough judges probes that succeed with their first success.
func onceIsEnough(path *field.Path, p *corev1.Probe, grace int64) field.ErrorList {
	if p == nil {
		return nil
	}
	faults := probe(path, p, grace)
	if p.SuccessThreshold != 1 {
		faults = append(faults, field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	return faults
}

func probe(path *field.Path, p *corev1.Probe, grace int64) field.ErrorList {
	faults := handler(path, handlers{exec: p.Exec, http: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}, grace)
	faults = append(faults, NotNegative(path.Child("initialDelaySeconds"), p.InitialDelaySeconds)...)
	faults = append(faults, NotNegative(path.Child("timeoutSeconds"), p.TimeoutSeconds)...)
	faults = append(faults, NotNegative(path.Child("periodSeconds"), p.PeriodSeconds)...)
	faults = append(faults, NotNegative(path.Child("successThreshold"), p.SuccessThreshold)...)
	faults = append(faults, NotNegative(path.Child("failureThreshold"), p.FailureThreshold)...)
	if p.TerminationGracePeriodSeconds != nil && *p.TerminationGracePeriodSeconds <= 0 {
		faults = append(faults, field.Invalid(path.Child("terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must be greater than 0"))
	}
	return faults
}

// handlers is what a probe or a lifecycle hook may do; exactly one is set.
type handlers struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func handler(path *field.Path, h handlers, grace int64) field.ErrorList {
	var faults field.ErrorList
	n := 0
	take := func(name string, found bool, judge func(at *field.Path) field.ErrorList) {
		if !found {
			return
		}
		at := path.Child(name)
		if n++; n > 1 {
			faults = append(faults, field.Forbidden(at, "may not specify more than 1 handler type"))
			return
		}
		faults = append(faults, judge(at)...)
	}
	take("exec", h.exec != nil, func(at *field.Path) field.ErrorList {
		if len(h.exec.Command) == 0 {
			return field.ErrorList{field.Required(at.Child("command"), "")}
		}
		return nil
	})
	take("httpGet", h.http != nil, func(at *field.Path) field.ErrorList { return httpGet(at, h.http) })
	take("tcpSocket", h.tcp != nil, func(at *field.Path) field.ErrorList { return PortNumberOrName(at.Child("port"), h.tcp.Port) })
	take("grpc", h.grpc != nil, func(at *field.Path) field.ErrorList {
		return PortNumberOrName(at.Child("port"), intstr.FromInt32(h.grpc.Port))
	})
	take("sleep", h.sleep != nil, func(at *field.Path) field.ErrorList {
		if h.sleep.Seconds >= 0 && h.sleep.Seconds <= grace {
			return nil
		}
		return field.ErrorList{field.Invalid(at, h.sleep.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", grace))}
	})
	if n == 0 {
		faults = append(faults, field.Required(path, "must specify a handler type"))
	}
	return faults
}

func httpGet(path *field.Path, get *corev1.HTTPGetAction) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, Filled(path.Child("path"), get.Path)...)
	faults = append(faults, PortNumberOrName(path.Child("port"), get.Port)...)
	faults = append(faults, OneOfAny(path.Child("scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range get.HTTPHeaders {
		faults = append(faults, Invalid(path.Child("httpHeaders"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...)
	}
	return faults
}

// PortNumberOrName judges a port that is given by number or by the name of a container's port.
func PortNumberOrName(path *field.Path, port intstr.IntOrString) field.ErrorList {
	if port.Type == intstr.Int {
		return Invalid(path, port.IntValue(), utilvalidation.IsValidPortNum(port.IntValue()))
	}
	return Invalid(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
}

func lifecycle(path *field.Path, l *corev1.Lifecycle, grace int64, os *corev1.PodOS) field.ErrorList {
	if l == nil {
		return nil
	}
	var faults field.ErrorList
	if h := l.PostStart; h != nil {
		faults = append(faults, handler(path.Child("postStart"), handlers{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}, grace)...)
	}
	if h := l.PreStop; h != nil {
		faults = append(faults, handler(path.Child("preStop"), handlers{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}, grace)...)
	}
	if l.StopSignal != nil {
		faults = append(faults, stopSignal(path.Child("stopSignal"), *l.StopSignal, os)...)
	}
	return faults
}

// linuxSignals are the names under which a container may be told to stop.
var linuxSignals = func() []corev1.Signal {
	signals := []corev1.Signal{
		corev1.SIGABRT, corev1.SIGALRM, corev1.SIGBUS, corev1.SIGCHLD, corev1.SIGCLD, corev1.SIGCONT, corev1.SIGFPE, corev1.SIGHUP,
		corev1.SIGILL, corev1.SIGINT, corev1.SIGIO, corev1.SIGIOT, corev1.SIGKILL, corev1.SIGPIPE, corev1.SIGPOLL, corev1.SIGPROF,
		corev1.SIGPWR, corev1.SIGQUIT, corev1.SIGSEGV, corev1.SIGSTKFLT, corev1.SIGSTOP, corev1.SIGSYS, corev1.SIGTERM, corev1.SIGTRAP,
		corev1.SIGTSTP, corev1.SIGTTIN, corev1.SIGTTOU, corev1.SIGURG, corev1.SIGUSR1, corev1.SIGUSR2, corev1.SIGVTALRM,
		corev1.SIGWINCH, corev1.SIGXCPU, corev1.SIGXFSZ, corev1.SIGRTMIN, corev1.SIGRTMAX,
	}
	for i := 1; i <= 15; i++ {
		signals = append(signals, corev1.Signal(fmt.Sprintf("SIGRTMIN+%d", i)))
	}
	for i := 1; i <= 14; i++ {
		signals = append(signals, corev1.Signal(fmt.Sprintf("SIGRTMAX-%d", i)))
	}
	slices.Sort(signals)
	return signals
}()

func stopSignal(path *field.Path, signal corev1.Signal, os *corev1.PodOS) field.ErrorList {
	if os == nil {
		return field.ErrorList{field.Forbidden(path, "may not be set for containers with empty `spec.os.name`")}
	}
	switch os.Name {
	case corev1.Windows:
		return OneOfAny(path, signal, corev1.SIGKILL, corev1.SIGTERM)
	case corev1.Linux:
		return OneOfAny(path, signal, linuxSignals...)
	default:
		return nil
	}
}
