package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// calls is what is asked of etcd: over the network, or of one in this process.
type calls interface {
	Range(context.Context, *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error)
	Txn(context.Context, *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error)
	Compact(context.Context, *etcdserverpb.CompactionRequest) (*etcdserverpb.CompactionResponse, error)
	LeaseGrant(context.Context, *etcdserverpb.LeaseGrantRequest) (*etcdserverpb.LeaseGrantResponse, error)
	Size(context.Context) (int64, error)
	// Watch begins a stream of watches that ends with ctx.
	Watch(ctx context.Context) (watchStream, error)
	Close() error
}

// watchStream is for one goroutine that sends and one that receives.
type watchStream interface {
	Send(*etcdserverpb.WatchRequest) error
	Recv() (*etcdserverpb.WatchResponse, error)
}

// Etcd is the real store.
type Etcd struct {
	calls   calls
	leases  *leases
	watches watches
	log     logr.Logger
}

func newEtcd(c calls, log logr.Logger) *Etcd {
	return &Etcd{calls: c, leases: newLeases(c), watches: newWatches(), log: log}
}

func (e *Etcd) Get(ctx context.Context, key string) (KeyValue, int64, error) {
	r, err := e.calls.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(key)})
	if err != nil {
		return KeyValue{}, 0, classified(ctx, "reading "+key, err)
	}
	if len(r.Kvs) == 0 {
		return KeyValue{}, r.Header.Revision, ErrNotFound
	}
	kv := r.Kvs[0]
	return KeyValue{key, kv.Value, kv.CreateRevision, kv.ModRevision}, r.Header.Revision, nil
}

func (e *Etcd) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (int64, error) {
	put, err := e.put(ctx, key, value, ttl)
	if err != nil {
		return 0, err
	}
	r, err := e.txn(ctx, key, 0, put, nil)
	if err != nil {
		return 0, classified(ctx, "creating "+key, err)
	}
	if !r.Succeeded {
		return 0, ErrExists
	}
	return r.Header.Revision, nil
}

func (e *Etcd) Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (int64, error) {
	put, err := e.put(ctx, key, value, ttl)
	if err != nil {
		return 0, err
	}
	return e.guarded(ctx, "updating ", key, expected, put)
}

func (e *Etcd) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	return e.guarded(ctx, "deleting ", key, expected, &etcdserverpb.RequestOp{
		Request: &etcdserverpb.RequestOp_RequestDeleteRange{RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: []byte(key)}},
	})
}

func (e *Etcd) guarded(ctx context.Context, doing, key string, expected int64, op *etcdserverpb.RequestOp) (int64, error) {
	r, err := e.txn(ctx, key, expected, op, []*etcdserverpb.RequestOp{rangeOp(key)})
	if err != nil {
		return 0, classified(ctx, doing+key, err)
	}
	if r.Succeeded {
		return r.Header.Revision, nil
	}
	conflict := &ConflictError{}
	if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		conflict.Current = &KeyValue{key, kvs[0].Value, kvs[0].CreateRevision, kvs[0].ModRevision}
	}
	return 0, conflict
}

// txn does one thing if a key is at a mod revision, and otherwise others.
func (e *Etcd) txn(ctx context.Context, key string, expected int64, then *etcdserverpb.RequestOp, otherwise []*etcdserverpb.RequestOp) (*etcdserverpb.TxnResponse, error) {
	return e.calls.Txn(ctx, &etcdserverpb.TxnRequest{
		Compare: []*etcdserverpb.Compare{{
			Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD, Key: []byte(key),
			TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: expected},
		}},
		Success: []*etcdserverpb.RequestOp{then}, Failure: otherwise,
	})
}

func (e *Etcd) put(ctx context.Context, key string, value []byte, ttl time.Duration) (*etcdserverpb.RequestOp, error) {
	if len(value) > MaxValue {
		return nil, ErrTooLarge
	}
	put := &etcdserverpb.PutRequest{Key: []byte(key), Value: value}
	if ttl > 0 {
		id, err := e.leases.get(ctx, ttl)
		if err != nil {
			return nil, classified(ctx, "taking a lease for "+key, err)
		}
		put.Lease = id
	}
	return putOp(put), nil
}

func putOp(r *etcdserverpb.PutRequest) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: r}}
}

func rangeOp(key string) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: []byte(key)}}}
}

func (e *Etcd) List(ctx context.Context, prefix string, revision, limit int64, from string) (Page, error) {
	if from == "" {
		from = prefix
	}
	r, err := e.calls.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(from), RangeEnd: afterPrefix(prefix), Limit: limit, Revision: revision})
	if err != nil {
		return Page{}, classified(ctx, "listing "+prefix, err)
	}
	page := Page{Revision: r.Header.Revision, More: r.More, Items: make([]KeyValue, len(r.Kvs))}
	if revision > 0 {
		page.Revision = revision
	}
	for i, kv := range r.Kvs {
		page.Items[i] = KeyValue{string(kv.Key), kv.Value, kv.CreateRevision, kv.ModRevision}
	}
	return page, nil
}

func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	r, err := e.calls.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err != nil {
		return 0, classified(ctx, "asking for the revision", err)
	}
	return r.Header.Revision, nil
}

func (e *Etcd) Compact(ctx context.Context, revision int64) error {
	_, err := e.calls.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: revision})
	if err = classified(ctx, "compacting", err); errors.Is(err, ErrCompacted) {
		return nil
	}
	return err
}

func (e *Etcd) Size(ctx context.Context) (int64, error) {
	size, err := e.calls.Size(ctx)
	return size, classified(ctx, "asking for the size", err)
}

func (e *Etcd) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := e.Revision(ctx)
	return err
}

func (e *Etcd) Close() error { return e.calls.Close() }

// afterPrefix is the first key that is after all with a prefix.
func afterPrefix(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0} // all keys
}

// classified gives etcd's errors this package's meaning.
func classified(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	switch err = rpctypes.Error(err); {
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%s: %w", doing, ErrCompacted)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%s: %w", doing, ErrFuture)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%s: %w", doing, ErrTooLarge)
	}
	if c := status.Code(err); ctx.Err() != nil && (c == codes.Canceled || c == codes.DeadlineExceeded) {
		return fmt.Errorf("%s in etcd: %w (%s)", doing, ctx.Err(), status.Convert(err).Message())
	}
	return fmt.Errorf("%s in etcd: %w", doing, err)
}
