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

type leases struct {
	calls  calls
	mu     sync.Mutex
	shared map[time.Duration]*sharedLease
}

type sharedLease struct {
	id    int64
	until time.Time // last moment to write with it: its keys then still live for their whole time
	keys  int
}

func newLeases(c calls) *leases {
	return &leases{calls: c, shared: map[time.Duration]*sharedLease{}}
}

// get gives a lease that lasts at least ttl from now and at most a little longer.
func (l *leases) get(ctx context.Context, ttl time.Duration) (int64, error) {
	ttl = (ttl + time.Second - 1).Truncate(time.Second)
	share := min(reuse, ttl/20)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shared[ttl]; s != nil && s.keys < maxKeys && time.Now().Before(s.until) {
		s.keys++
		return s.id, nil
	}
	r, err := l.calls.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{TTL: int64((ttl + share).Seconds())})
	if err != nil {
		return 0, err
	}
	l.shared[ttl] = &sharedLease{id: r.ID, until: time.Now().Add(share), keys: 1}
	return r.ID, nil
}
