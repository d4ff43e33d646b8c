package storage

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"google.golang.org/grpc/metadata"

	"github.com/sampan-project/sampan/pkg/apiserver/storage/rpc"
)

// DialConfig says how to reach an etcd cluster.
type DialConfig struct {
	Endpoints []string
	// CAFile, CertFile and KeyFile are for TLS; empty for plain HTTP endpoints.
	CAFile, CertFile, KeyFile string
}

// The methods of etcd that are called.
const (
	rangeMethod   = "/etcdserverpb.KV/Range"
	txnMethod     = "/etcdserverpb.KV/Txn"
	compactMethod = "/etcdserverpb.KV/Compact"
	grantMethod   = "/etcdserverpb.Lease/LeaseGrant"
	watchMethod   = "/etcdserverpb.Watch/Watch"
	statusMethod  = "/etcdserverpb.Maintenance/Status"
)

// Dial connects to etcd. It does not wait until etcd answers: Healthy tells.
func Dial(cfg DialConfig, log logr.Logger) (*Etcd, error) {
	t, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	// A write that nobody knows the end of is never repeated: its caller is told so.
	client, err := rpc.New(rpc.Config{Endpoints: cfg.Endpoints, TLS: t, Repeatable: []string{rangeMethod, compactMethod, statusMethod}})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	return newEtcd(remote{client}, log), nil
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

// remote is an etcd that is reached over the network.
type remote struct{ client *rpc.Client }

func (r remote) Range(ctx context.Context, in *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	out := new(etcdserverpb.RangeResponse)
	return out, r.client.Call(ctx, rangeMethod, in, out)
}

func (r remote) Txn(ctx context.Context, in *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	out := new(etcdserverpb.TxnResponse)
	return out, r.client.Call(ctx, txnMethod, in, out)
}

func (r remote) Compact(ctx context.Context, in *etcdserverpb.CompactionRequest) (*etcdserverpb.CompactionResponse, error) {
	out := new(etcdserverpb.CompactionResponse)
	return out, r.client.Call(ctx, compactMethod, in, out)
}

func (r remote) LeaseGrant(ctx context.Context, in *etcdserverpb.LeaseGrantRequest) (*etcdserverpb.LeaseGrantResponse, error) {
	out := new(etcdserverpb.LeaseGrantResponse)
	return out, r.client.Call(ctx, grantMethod, in, out)
}

// Size is that of the member that happens to be asked.
func (r remote) Size(ctx context.Context) (int64, error) {
	out := new(etcdserverpb.StatusResponse)
	err := r.client.Call(ctx, statusMethod, new(etcdserverpb.StatusRequest), out)
	return out.DbSize, err
}

// Watch demands a member that knows a leader: one that is cut off would else be silent for ever.
func (r remote) Watch(ctx context.Context) (watchStream, error) {
	s, err := r.client.Stream(metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader), watchMethod)
	if err != nil {
		return nil, err
	}
	return remoteWatch{s}, nil
}

func (r remote) Close() error { return r.client.Close() }

type remoteWatch struct{ stream *rpc.Stream }

func (w remoteWatch) Send(m *etcdserverpb.WatchRequest) error { return w.stream.Send(m) }

func (w remoteWatch) Recv() (*etcdserverpb.WatchResponse, error) {
	m := new(etcdserverpb.WatchResponse)
	return m, w.stream.Receive(m)
}
