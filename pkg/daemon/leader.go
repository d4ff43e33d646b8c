package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ErrLeadershipLost ends a daemon whose lease was taken or could not be renewed in time.
var ErrLeadershipLost = errors.New("leadership was lost; another replica may lead now")

// LeaderElection is the configuration of the Lease by which one replica of a daemon works at a time.
type LeaderElection struct {
	Enabled       bool
	LeaseDuration time.Duration // a leader silent for this long is deposed
	RenewDeadline time.Duration // the leader gives up when renewing fails for this long
	RetryPeriod   time.Duration // pause between attempts
	Namespace     string
	Name          string

	watch *leaderelection.HealthzAdaptor
}

// lateBy is how long after its lease a leader that cannot renew it counts as well: by then it should have ended.
const lateBy = 20 * time.Second

// DefaultLeaderElection is upstream's: 15 s, 10 s, 2 s, on a Lease in kube-system.
func DefaultLeaderElection(name string) LeaderElection {
	return LeaderElection{
		Enabled: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second,
		RetryPeriod: 2 * time.Second, Namespace: "kube-system", Name: name,
		watch: leaderelection.NewLeaderHealthzAdaptor(lateBy),
	}
}

// Checks are those of the election: a leader whose lease ran out long ago hangs. Without election there are none.
func (l *LeaderElection) Checks() []Check {
	if !l.Enabled {
		return nil
	}
	return []Check{{Name: l.watch.Name(), Check: func(context.Context) error { return l.watch.Check(nil) }}}
}

// AddFlags registers the --leader-elect flags.
func (l *LeaderElection) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&l.Enabled, "leader-elect", l.Enabled, "take a Lease before working, so that one of several replicas works at a time")
	fs.DurationVar(&l.LeaseDuration, "leader-elect-lease-duration", l.LeaseDuration, "a leader that is silent for this long is deposed")
	fs.DurationVar(&l.RenewDeadline, "leader-elect-renew-deadline", l.RenewDeadline, "the leader gives up when renewing fails for this long; less than the lease duration")
	fs.DurationVar(&l.RetryPeriod, "leader-elect-retry-period", l.RetryPeriod, "pause between attempts to take or renew the lease")
	fs.StringVar(&l.Name, "leader-elect-resource-name", l.Name, "name of the Lease")
	fs.StringVar(&l.Namespace, "leader-elect-resource-namespace", l.Namespace, "namespace of the Lease")
}

// Run calls work once this process leads, and cancels work's context when it no longer does. It returns
// what work returned, or ErrLeadershipLost; where election is disabled work starts at once. The lease is
// given back when ctx ends, so that a successor need not wait.
func (l *LeaderElection) Run(ctx context.Context, client kubernetes.Interface, work func(ctx context.Context) error) error {
	if !l.Enabled {
		return work(ctx)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host's name, which names the lease's holder, is unknown: %w", err)
	}
	var result error
	started, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: l.Name, LeaseDuration: l.LeaseDuration, RenewDeadline: l.RenewDeadline, RetryPeriod: l.RetryPeriod,
		ReleaseOnCancel: true,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(lead context.Context) {
				close(started)
				defer close(ended)
				defer cancel()
				result = work(lead)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("the --leader-elect settings do not fit together: %w", err)
	}
	l.watch.SetLeaderElection(elector)
	elector.Run(ctx)
	lost := ctx.Err() == nil
	select {
	case <-started:
		<-ended // work's context has ended; its writes must have too before anyone else is told
	default:
	}
	if lost {
		return ErrLeadershipLost
	}
	return result
}
