package storage

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Keys that are to be forgotten at about the same time share a lease, so that a stream of events does not
// make one each. A lease is shared by keys written within reuse of each other, up to maxKeys of them.
const (
	reuse   = 60 * time.Second
	maxKeys = 1000
)

type leases struct {
	client *clientv3.Client
	mu     sync.Mutex
	shared map[time.Duration]*sharedLease
}

type sharedLease struct {
	id    clientv3.LeaseID
	until time.Time // last moment to write with it: its keys then still live for their whole time
	keys  int
}

func newLeases(c *clientv3.Client) *leases {
	return &leases{client: c, shared: map[time.Duration]*sharedLease{}}
}

// get gives a lease that lasts at least ttl from now and at most a little longer.
func (l *leases) get(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	ttl = (ttl + time.Second - 1).Truncate(time.Second)
	share := min(reuse, ttl/20)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shared[ttl]; s != nil && s.keys < maxKeys && time.Now().Before(s.until) {
		s.keys++
		return s.id, nil
	}
	r, err := l.client.Grant(ctx, int64((ttl + share).Seconds()))
	if err != nil {
		return 0, err
	}
	l.shared[ttl] = &sharedLease{id: r.ID, until: time.Now().Add(share), keys: 1}
	return r.ID, nil
}
