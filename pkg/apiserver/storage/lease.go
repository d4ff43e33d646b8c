package storage

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Keys that are to be forgotten at about the same time share a lease, so that a stream of events does not
// make one each. A lease is shared by keys written within reuse of each other, up to maxKeys of them.
const (
	reuse   = 60 * time.Second
	maxKeys = 1000
)

// grantFor bounds one question for a lease. Each who waits for it has an end of its own.
const grantFor = 10 * time.Second

type leases struct {
	calls  calls
	mu     sync.Mutex
	shared map[time.Duration]*sharedLease
}

// sharedLease is a lease, or one that etcd has been asked for.
type sharedLease struct {
	granted chan struct{} // closed when id or err is known
	id      int64
	err     error
	until   time.Time // last moment to write with it: its keys then still live for their whole time; zero until granted
	keys    int
}

func newLeases(c calls) *leases {
	return &leases{calls: c, shared: map[time.Duration]*sharedLease{}}
}

// get gives a lease that lasts at least ttl from now and at most a little longer. All who need one while etcd is asked
// wait for the same answer.
func (l *leases) get(ctx context.Context, ttl time.Duration) (int64, error) {
	ttl = (ttl + time.Second - 1).Truncate(time.Second)
	l.mu.Lock()
	s := l.shared[ttl]
	if s == nil || s.keys >= maxKeys || !s.until.IsZero() && !time.Now().Before(s.until) {
		s = &sharedLease{granted: make(chan struct{})}
		l.shared[ttl] = s
		go l.grant(context.WithoutCancel(ctx), s, ttl)
	}
	s.keys++
	l.mu.Unlock()
	select {
	case <-s.granted:
		return s.id, s.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// grant asks for a lease. One that etcd refuses is forgotten, for the next who needs one to ask again.
func (l *leases) grant(ctx context.Context, s *sharedLease, ttl time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grantFor)
	defer cancel()
	share := min(reuse, ttl/20)
	r, err := l.calls.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{TTL: int64((ttl + share).Seconds())})
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(s.granted)
	if err == nil {
		s.id, s.until = r.ID, time.Now().Add(share)
		return
	}
	s.err = err
	if l.shared[ttl] == s {
		delete(l.shared, ttl)
	}
}
