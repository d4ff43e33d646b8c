package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// DialConfig says how to reach an etcd cluster.
type DialConfig struct {
	Endpoints []string
	// CAFile, CertFile and KeyFile are for TLS; empty for plain HTTP endpoints.
	CAFile, CertFile, KeyFile string
}

// mostSent and mostReceived are the largest messages in bytes.
const (
	mostSent     = 16 << 20
	mostReceived = 1 << 30
)

// Etcd is the real store.
type Etcd struct {
	client *clientv3.Client
	kv     etcdserverpb.KVClient // the client's, with its rules of what is tried again
	leases *leases
	log    logr.Logger
	close  func() error // what runs beside the client; may be nil
}

// Dial connects to etcd. It does not wait until etcd answers: Healthy tells.
func Dial(cfg DialConfig, log logr.Logger) (*Etcd, error) {
	c := clientv3.Config{
		Endpoints: cfg.Endpoints, DialTimeout: 20 * time.Second,
		DialKeepAliveTime: 30 * time.Second, DialKeepAliveTimeout: 10 * time.Second,
		MaxCallSendMsgSize: mostSent, MaxCallRecvMsgSize: mostReceived, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithInitialWindowSize(4 << 20), grpc.WithInitialConnWindowSize(8 << 20),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallSendMsgSize(mostSent), grpc.MaxCallRecvMsgSize(mostReceived)),
		},
	}
	var err error
	if c.TLS, err = cfg.tls(); err != nil {
		return nil, err
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	return &Etcd{client: client, kv: clientv3.RetryKVClient(client), leases: newLeases(client), log: log}, nil
}

func (c DialConfig) tls() (*tls.Config, error) {
	if c.CAFile == "" && c.CertFile == "" {
		return nil, nil
	}
	t, err := (transport.TLSInfo{TrustedCAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the certificates for etcd (--etcd-cafile, --etcd-certfile, --etcd-keyfile): %w", err)
	}
	return t, nil
}

func (e *Etcd) Get(ctx context.Context, key string) (KeyValue, int64, error) {
	r, err := e.client.Get(ctx, key)
	if err != nil {
		return KeyValue{}, 0, classified("reading "+key, err)
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
		return 0, classified("creating "+key, err)
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
	r, err := e.txn(ctx, key, expected, op, []*etcdserverpb.RequestOp{
		{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: []byte(key)}}},
	})
	if err != nil {
		return 0, classified(doing+key, err)
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

// txn does one thing if a key is at a mod revision, and otherwise others. The message is put together here: the
// client's operations take a value as text and copy it twice.
func (e *Etcd) txn(ctx context.Context, key string, expected int64, then *etcdserverpb.RequestOp, otherwise []*etcdserverpb.RequestOp) (*etcdserverpb.TxnResponse, error) {
	r, err := e.kv.Txn(ctx, &etcdserverpb.TxnRequest{
		Compare: []*etcdserverpb.Compare{{
			Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD, Key: []byte(key),
			TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: expected},
		}},
		Success: []*etcdserverpb.RequestOp{then}, Failure: otherwise,
	})
	return r, clientv3.ContextError(ctx, err)
}

func (e *Etcd) put(ctx context.Context, key string, value []byte, ttl time.Duration) (*etcdserverpb.RequestOp, error) {
	if len(value) > MaxValue {
		return nil, ErrTooLarge
	}
	put := &etcdserverpb.PutRequest{Key: []byte(key), Value: value}
	if ttl > 0 {
		id, err := e.leases.get(ctx, ttl)
		if err != nil {
			return nil, classified("taking a lease for "+key, err)
		}
		put.Lease = int64(id)
	}
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: put}}, nil
}

func (e *Etcd) List(ctx context.Context, prefix string, revision, limit int64, from string) (Page, error) {
	if from == "" {
		from = prefix
	}
	opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(limit)}
	if revision > 0 {
		opts = append(opts, clientv3.WithRev(revision))
	}
	r, err := e.client.Get(ctx, from, opts...)
	if err != nil {
		return Page{}, classified("listing "+prefix, err)
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

func (e *Etcd) Watch(ctx context.Context, prefix string, after int64) <-chan Batch {
	out := make(chan Batch, 64)
	changes := e.client.Watch(clientv3.WithRequireLeader(ctx), prefix,
		clientv3.WithPrefix(), clientv3.WithRev(after+1), clientv3.WithProgressNotify())
	go func() {
		defer close(out)
		for r := range changes {
			b := Batch{Revision: r.Header.Revision}
			if err := r.Err(); err != nil {
				b.Err = classified("watching "+prefix, err)
			}
			for _, ev := range r.Events {
				b.Events = append(b.Events, Event{
					KeyValue: KeyValue{string(ev.Kv.Key), ev.Kv.Value, ev.Kv.CreateRevision, ev.Kv.ModRevision},
					Deleted:  ev.Type == clientv3.EventTypeDelete,
				})
			}
			if n := len(b.Events); n > 0 {
				b.Revision = b.Events[n-1].ModRevision // the header may be ahead of what this answer holds
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if b.Err != nil {
				return
			}
		}
	}()
	return out
}

func (e *Etcd) RequestProgress(ctx context.Context) error {
	return e.client.RequestProgress(clientv3.WithRequireLeader(ctx))
}

func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	r, err := e.client.Get(ctx, "\x00", clientv3.WithCountOnly())
	if err != nil {
		return 0, classified("asking for the revision", err)
	}
	return r.Header.Revision, nil
}

func (e *Etcd) Compact(ctx context.Context, revision int64) error {
	_, err := e.client.Compact(ctx, revision)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return classified("compacting", err)
}

func (e *Etcd) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := e.Revision(ctx)
	return err
}

func (e *Etcd) Close() error {
	err := e.client.Close()
	if e.close != nil {
		err = errors.Join(err, e.close())
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// classified gives etcd's errors this package's meaning.
func classified(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%s: %w", doing, ErrCompacted)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%s: %w", doing, ErrFuture)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%s: %w", doing, ErrTooLarge)
	}
	return fmt.Errorf("%s in etcd: %w", doing, err)
}
