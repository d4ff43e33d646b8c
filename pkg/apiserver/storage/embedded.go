package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quota is the size in bytes that an embedded etcd's data may reach; etcd's own advice for the most.
const quota = 8 << 30

// Embedded starts an etcd in this process, with its data under dir, and connects to it. Its client and
// peer ports are on loopback, chosen by the kernel, unless listenClient names an address for tools.
// snapshotCount 0 is etcd's own.
func Embedded(ctx context.Context, dir, listenClient string, log logr.Logger) (*Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made (name another with --data-dir): %w", err)
	}
	if err := writable(dir); err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = dir, "default"
	cfg.QuotaBackendBytes = quota
	cfg.MaxRequestBytes = 2 << 20
	cfg.ExperimentalWatchProgressNotifyInterval = 5 * time.Second
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(zapCore{log: log.WithName("etcd")}))
	client, err := loopback(listenClient)
	if err != nil {
		return nil, err
	}
	peer, err := loopback("")
	if err != nil {
		return nil, err
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	// The peer port differs at each start, which one member does not mind. ForceNewCluster is no way to say so: it
	// lets go of what was logged and acknowledged, but not yet noted as committed, when the process was killed.
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, embeddedError(dir, err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return nil, embeddedError(dir, err)
	case <-ctx.Done():
		server.Close()
		return nil, ctx.Err()
	}
	e, err := Dial(DialConfig{Endpoints: []string{client.String()}}, log)
	if err != nil {
		server.Close()
		return nil, err
	}
	e.close = func() error { server.Close(); return nil }
	return e, nil
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".write-*")
	if err != nil {
		return fmt.Errorf("the data directory cannot be written (name another with --data-dir): %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func loopback(address string) (url.URL, error) {
	if address == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return url.URL{}, fmt.Errorf("finding a free port for etcd: %w", err)
		}
		address = l.Addr().String()
		_ = l.Close()
	}
	return url.URL{Scheme: "http", Host: address}, nil
}

func embeddedError(dir string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("etcd's port is taken; another server may be running: %w", err)
	}
	return fmt.Errorf("starting etcd on %s: %w", dir, err)
}

// zapCore passes etcd's warnings and errors on to our log, and drops the rest.
type zapCore struct{ log logr.Logger }

func (zapCore) Enabled(l zapcore.Level) bool        { return l >= zapcore.WarnLevel }
func (c zapCore) With([]zapcore.Field) zapcore.Core { return c }
func (zapCore) Sync() error                         { return nil }
func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	pairs := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		pairs = append(pairs, k, v)
	}
	if e.Level >= zapcore.ErrorLevel {
		c.log.Error(nil, e.Message, pairs...)
	} else {
		c.log.V(2).Info(e.Message, pairs...)
	}
	return nil
}
