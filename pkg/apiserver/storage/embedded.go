package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	// quota is the size in bytes that an embedded etcd's data may reach; etcd's own advice for the most.
	quota = 8 << 30
	// member is etcd's own name for one that was given none.
	member = "default"
	// tick is raft's unit of time, and election how many of them a member waits for a leader before it makes itself
	// one: at least two, and nobody else could become one.
	tick     = 100 * time.Millisecond
	election = 2
	// commits is how often at most etcd's database is brought up to its log, which is what holds the writes. Each costs a
	// flush of the disk, and etcd's own tenth of a second would be another wake-up ten times a second when nothing happens.
	commits = 500 * time.Millisecond
	// catchUp is how many of the last writes raft keeps in memory beyond what it needs, for other members that fall
	// behind: there are none.
	catchUp = 100
)

// Embedded starts an etcd in this process, with its data under dir. It is asked by calls of its functions, and hears
// connections only where listenClient names an address for tools.
//
// It is put together from etcd's server. etcd's package for that purpose, embed, would bring gateways and pages that
// nobody asks for, and templates with them, for which the linker keeps every exported method of the whole program.
func Embedded(ctx context.Context, dir, listenClient string, log logr.Logger) (*Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made (name another with --data-dir): %w", err)
	}
	if err := writable(dir); err != nil {
		return nil, err
	}
	var listener net.Listener
	if listenClient != "" {
		var err error
		if listener, err = net.Listen("tcp", listenClient); err != nil {
			return nil, embeddedError(dir, err)
		}
	}
	server, err := etcdserver.NewServer(embeddedConfig(dir, zap.New(zapCore{log: log.WithName("etcd")})))
	if err != nil {
		return nil, errors.Join(embeddedError(dir, err), closed(listener))
	}
	server.Start()
	select {
	case <-server.ReadyNotify():
	case <-server.StopNotify():
		err = embeddedError(dir, errors.New("it stopped by itself"))
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		server.Stop()
		return nil, errors.Join(err, closed(listener))
	}
	stop := server.Stop
	if listener != nil {
		tools := v3rpc.Server(server, nil, nil)
		go func() {
			if err := tools.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				log.Error(err, "etcd no longer answers tools", "address", listenClient)
			}
		}()
		stop = func() { tools.Stop(); server.Stop() }
	}
	return newEtcd(newInProcess(server, dir, stop), log), nil
}

// embeddedConfig is the configuration of a cluster of one, with etcd's own values where ours need no others.
func embeddedConfig(dir string, log *zap.Logger) config.ServerConfig {
	// The address is part of the member's identity when it is first made, and says nothing otherwise: nobody listens.
	peers := types.URLs{url.URL{Scheme: "http", Host: "127.0.0.1:2380"}}
	c := config.ServerConfig{
		Name: member, DataDir: dir, PeerURLs: peers, ClientURLs: peers, NewCluster: true,
		TickMs: uint(tick.Milliseconds()), ElectionTicks: election, PreVote: true,
		SnapshotCount: etcdserver.DefaultSnapshotCount, SnapshotCatchUpEntries: catchUp,
		BackendBatchInterval: commits, MaxSnapFiles: 5, MaxWALFiles: 5, QuotaBackendBytes: quota, MaxTxnOps: 128, MaxRequestBytes: 2 << 20,
		MaxConcurrentStreams: 1 << 20, WatchProgressNotifyInterval: 5 * time.Second, DowngradeCheckTime: 5 * time.Second,
		WarningApplyDuration: 100 * time.Millisecond, WarningUnaryRequestDuration: 300 * time.Millisecond,
		AuthToken: "simple", TokenTTL: 300, BcryptCost: 10, StrictReconfigCheck: true, MaxLearners: 1,
		V2Deprecation: config.V2DeprDefault, ServerFeatureGate: features.NewDefaultServerFeatureGate(member, log),
		Metrics: "basic", Logger: log,
	}
	// ForceNewCluster is no way to say that this is the only member: it lets go of what was logged and acknowledged, but
	// not yet noted as committed, when the process was killed.
	if !wal.Exist(filepath.Join(dir, "member", "wal")) {
		c.InitialPeerURLsMap, c.InitialClusterToken = types.URLsMap{member: peers}, "etcd-cluster"
	}
	return c
}

// inProcess is a server in the same process.
type inProcess struct {
	etcdserverpb.KVServer
	etcdserverpb.LeaseServer
	watches etcdserverpb.WatchClient
	size    func() int64
	dir     string                 // of its data
	free    func() (uint64, error) // bytes on the disk
	ctx     context.Context
	cancel  context.CancelFunc // ends the watches, which the server would not
	stop    func()
}

func newInProcess(server *etcdserver.EtcdServer, dir string, stop func()) *inProcess {
	p := &inProcess{
		size:     func() int64 { return server.Backend().Size() },
		dir:      dir,
		free:     func() (uint64, error) { return freeOn(dir) },
		KVServer: v3rpc.NewQuotaKVServer(server), LeaseServer: v3rpc.NewQuotaLeaseServer(server),
		watches: adapter.WatchServerToWatchClient(v3rpc.NewWatchServer(server)), stop: stop,
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *inProcess) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	if err := p.room(ctx, r); err != nil {
		return nil, err
	}
	return p.KVServer.Txn(ctx, r)
}

func (p *inProcess) LeaseGrant(ctx context.Context, r *etcdserverpb.LeaseGrantRequest) (*etcdserverpb.LeaseGrantResponse, error) {
	if err := p.room(ctx, nil); err != nil {
		return nil, err
	}
	return p.LeaseServer.LeaseGrant(ctx, r)
}

func (p *inProcess) Size(context.Context) (int64, error) { return p.size(), nil }

func (p *inProcess) Watch(ctx context.Context) (watchStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	unbind := context.AfterFunc(p.ctx, cancel)
	context.AfterFunc(ctx, func() { unbind() })
	return p.watches.Watch(ctx)
}

func (p *inProcess) Close() error {
	p.cancel()
	p.stop()
	return nil
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".write-*")
	if err != nil {
		return fmt.Errorf("the data directory cannot be written (name another with --data-dir): %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func closed(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func embeddedError(dir string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("etcd's port is taken; another server may be running: %w", err)
	}
	return fmt.Errorf("starting etcd on %s: %w", dir, err)
}
