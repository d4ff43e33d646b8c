package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	get   = "/etcdserverpb.KV/Range"
	write = "/etcdserverpb.KV/Txn"
	watch = "/etcdserverpb.Watch/Watch"
)

// peer is a server whose methods are the test's.
type peer struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedWatchServer
	get   func(context.Context, *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error)
	watch func(etcdserverpb.Watch_WatchServer) error
}

func (p *peer) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return p.get(ctx, r)
}

func (p *peer) Watch(s etcdserverpb.Watch_WatchServer) error { return p.watch(s) }

// serve answers at an address ("127.0.0.1:0" for any) until the test ends.
func serve(t *testing.T, p *peer, address string, opts ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	opts = append([]grpc.ServerOption{grpc.MaxRecvMsgSize(1 << 30)}, opts...)
	s := grpc.NewServer(opts...)
	etcdserverpb.RegisterKVServer(s, p)
	etcdserverpb.RegisterWatchServer(s, p)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return s, l.Addr().String()
}

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// echo answers a request's key.
func echo(_ context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return &etcdserverpb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Key: r.Key}}}, nil
}

func asked(ctx context.Context, c *Client, key []byte) ([]byte, error) {
	var r etcdserverpb.RangeResponse
	if err := c.Call(ctx, get, &etcdserverpb.RangeRequest{Key: key}, &r); err != nil {
		return nil, err
	}
	return r.Kvs[0].Key, nil
}

func TestManyCallsAtOnceGetTheirOwnAnswers(t *testing.T) {
	_, address := serve(t, &peer{get: echo}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{"http://" + address}})
	ctx := within(t, time.Minute)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for j := range 100 {
				key := bytes.Repeat(fmt.Appendf(nil, "%d/%d.", i, j), 1+i*j)
				if got, err := asked(ctx, c, key); err != nil || !bytes.Equal(got, key) {
					t.Errorf("%d/%d: %d bytes of %d, %v", i, j, len(got), len(key), err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestMessagesLargerThanEveryWindow(t *testing.T) {
	_, address := serve(t, &peer{get: echo}, "127.0.0.1:0", grpc.MaxSendMsgSize(1<<30))
	c := client(t, Config{Endpoints: []string{address}})
	ctx := within(t, time.Minute)
	key := bytes.Repeat([]byte("0123456789abcdef"), 5<<20) // 80 MiB
	if got, err := asked(ctx, c, key); err != nil || !bytes.Equal(got, key) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestErrorsKeepTheirCodeAndWords(t *testing.T) {
	want := status.Error(codes.FailedPrecondition, "hundred %, a line\nand Grüße")
	_, address := serve(t, &peer{get: func(context.Context, *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
		return nil, want
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	_, err := asked(within(t, time.Minute), c, nil)
	if status.Code(err) != status.Code(want) || status.Convert(err).Message() != status.Convert(want).Message() {
		t.Errorf("got %v", err)
	}
	if err := c.Call(within(t, time.Minute), "/etcdserverpb.KV/None", &etcdserverpb.RangeRequest{}, &etcdserverpb.RangeResponse{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that there is not: %v", err)
	}
}

func TestACallThatIsGivenUpEndsAtThePeerToo(t *testing.T) {
	ended := make(chan error, 1)
	_, address := serve(t, &peer{get: func(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
		if len(r.Key) > 0 {
			return echo(ctx, r)
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	if _, err := asked(within(t, time.Minute), c, []byte("connected")); err != nil {
		t.Fatal(err)
	}
	_, err := asked(within(t, 50*time.Millisecond), c, nil)
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after its time: %v", err)
	}
	<-ended
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err = asked(ctx, c, nil); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	<-ended
	if _, err := asked(within(t, time.Minute), c, []byte("still connected")); err != nil {
		t.Error(err)
	}
}

func TestNoMoreCallsAtOnceThanThePeerTakes(t *testing.T) {
	var now, most atomic.Int64
	_, address := serve(t, &peer{get: func(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return echo(ctx, r)
	}}, "127.0.0.1:0", grpc.MaxConcurrentStreams(3))
	c := client(t, Config{Endpoints: []string{address}})
	ctx := within(t, time.Minute)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 50 {
				if _, err := asked(ctx, c, []byte("key")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d calls at once", most.Load())
	}
}

func TestCallsGoRoundThoseWhoAnswer(t *testing.T) {
	var counts [2]atomic.Int64
	endpoints := []string{"127.0.0.1:1"} // where nobody listens
	for i := range counts {
		_, address := serve(t, &peer{get: func(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
			counts[i].Add(1)
			return echo(ctx, r)
		}}, "127.0.0.1:0")
		endpoints = append(endpoints, address)
	}
	c := client(t, Config{Endpoints: endpoints})
	ctx := within(t, time.Minute)
	for counts[0].Load() < 20 || counts[1].Load() < 20 {
		if _, err := asked(ctx, c, []byte("key")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	c := client(t, Config{Endpoints: []string{"127.0.0.1:1"}})
	_, err := asked(within(t, 200*time.Millisecond), c, nil)
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "refused") {
		t.Errorf("with a short time: %v", err)
	}
	_, err = asked(within(t, time.Minute), c, nil)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with time: %v", err)
	}
	if _, err := c.Stream(within(t, time.Minute), watch); status.Code(err) != codes.Unavailable {
		t.Errorf("a stream: %v", err)
	}
	_ = c.Close()
	if _, err := asked(within(t, time.Minute), c, nil); status.Code(err) != codes.Canceled {
		t.Errorf("after it was closed: %v", err)
	}
}

func TestAPeerThatStopsGracefullyLosesNoCall(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	p := &peer{get: func(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
		if string(r.Key) == "held" {
			close(held)
			<-hold
		}
		return echo(ctx, r)
	}}
	first, address := serve(t, p, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	ctx := within(t, time.Minute)
	slow := make(chan error)
	go func() {
		_, err := asked(ctx, c, []byte("held"))
		slow <- err
	}()
	<-held
	stopped := make(chan struct{})
	go func() { first.GracefulStop(); close(stopped) }()
	for { // until nobody listens there any more
		nc, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = nc.Close()
	}
	quick := make(chan error)
	go func() { // is not sent on the old connection, and waits for a new one; it may not be repeated
		_, err := asked(ctx, c, []byte("quick"))
		quick <- err
	}()
	close(hold)
	if err := <-slow; err != nil {
		t.Errorf("the call that was under way: %v", err)
	}
	<-stopped
	serve(t, p, address)
	if err := <-quick; err != nil {
		t.Errorf("the call that came later: %v", err)
	}
}

// deaf speaks HTTP/2 until it has seen a request, and hangs up. It counts requests.
func deaf(t *testing.T) (address string, requests *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requests = new(atomic.Int64)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(nc, make([]byte, len(http2.ClientPreface)))
			f := http2.NewFramer(nc, nc)
			_ = f.WriteSettings()
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					break
				}
				if _, ok := frame.(*http2.HeadersFrame); ok {
					requests.Add(1)
					break
				}
			}
			_ = nc.Close()
		}
	}()
	return l.Addr().String(), requests
}

func TestOnlyWhatMayBeRepeatedIsSentTwice(t *testing.T) {
	t.Parallel()
	address, requests := deaf(t)
	c := client(t, Config{Endpoints: []string{address}, Repeatable: []string{get}})
	err := c.Call(within(t, time.Minute), write, &etcdserverpb.TxnRequest{}, &etcdserverpb.TxnResponse{})
	if status.Code(err) != codes.Unavailable || requests.Load() != 1 {
		t.Errorf("a write was sent %d times: %v", requests.Load(), err)
	}
	ctx := within(t, time.Minute)
	if _, err := asked(ctx, c, nil); status.Code(err) != codes.Unavailable || ctx.Err() != nil || requests.Load() < 3 {
		t.Errorf("a read was sent %d times: %v", requests.Load()-1, err)
	}
}

func TestAPeerThatHangsUpOnEverybodyIsNotCalledWithoutPause(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	client(t, Config{Endpoints: []string{l.Addr().String()}})
	const times = 5
	for range times {
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(nc, make([]byte, len(http2.ClientPreface)))
		_ = http2.NewFramer(nc, nc).WriteSettings()
		_ = nc.Close()
	}
	_ = l.Close()
	var least time.Duration
	for i := range times - 1 {
		least += firstPause << i
	}
	if took := time.Since(began); took < least {
		t.Errorf("%d connections within %s, %s is the least", times, took, least)
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	_, address := serve(t, &peer{get: echo}, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates, NextProtos: []string{"h2"}})))
	c := client(t, Config{Endpoints: []string{"https://" + address}, TLS: web.Client().Transport.(*http.Transport).TLSClientConfig})
	if _, err := asked(within(t, time.Minute), c, []byte("key")); err != nil {
		t.Error(err)
	}
	strict := client(t, Config{Endpoints: []string{"https://" + address}})
	if _, err := asked(within(t, 500*time.Millisecond), strict, nil); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
}

func TestStreamsCarryMessagesBothWaysAndMetadata(t *testing.T) {
	_, address := serve(t, &peer{watch: func(s etcdserverpb.Watch_WatchServer) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		if got := md.Get("hasleader"); len(got) != 1 || got[0] != "true" {
			return status.Errorf(codes.InvalidArgument, "metadata %v", md)
		}
		for range 100 {
			r, err := s.Recv()
			if err != nil {
				return err
			}
			for range 3 {
				if err := s.Send(&etcdserverpb.WatchResponse{WatchId: r.GetCancelRequest().WatchId}); err != nil {
					return err
				}
			}
		}
		return nil
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	s, err := c.Stream(metadata.AppendToOutgoingContext(within(t, time.Minute), "hasleader", "true"), watch)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range int64(100) {
			_ = s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: i}}})
		}
	}()
	for i := range int64(300) {
		var r etcdserverpb.WatchResponse
		if err := s.Receive(&r); err != nil || r.WatchId != i/3 {
			t.Fatalf("message %d: %d, %v", i, r.WatchId, err)
		}
	}
	if err := s.Receive(&etcdserverpb.WatchResponse{}); !errors.Is(err, io.EOF) {
		t.Errorf("at its end: %v", err)
	}
}

func TestAStreamThatNobodyReadsHoldsUpNoCallAndNotMuchMemory(t *testing.T) {
	const size, count = 1 << 20, 150
	var sent atomic.Int64
	_, address := serve(t, &peer{get: echo, watch: func(s etcdserverpb.Watch_WatchServer) error {
		for i := range int64(count) {
			if err := s.Send(&etcdserverpb.WatchResponse{WatchId: i, CancelReason: strings.Repeat("x", size)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	ctx := within(t, time.Minute)
	s, err := c.Stream(ctx, watch)
	if err != nil {
		t.Fatal(err)
	}
	for before, same := int64(-1), 0; same < 20; { // until the peer stands still
		if _, err := asked(ctx, c, bytes.Repeat([]byte("k"), 100<<10)); err != nil {
			t.Fatal(err)
		}
		if n := sent.Load(); n == before && n > 0 {
			same++
		} else {
			before, same = n, 0
		}
	}
	if n := sent.Load(); n > 2*streamWindow/size {
		t.Errorf("%d MiB wait here", n)
	}
	for i := range int64(count) {
		var r etcdserverpb.WatchResponse
		if err := s.Receive(&r); err != nil || r.WatchId != i || len(r.CancelReason) != size {
			t.Fatalf("message %d: %d, %v", i, r.WatchId, err)
		}
	}
}

func TestAStreamEndsWithItsContextAndWithItsPeer(t *testing.T) {
	ended := make(chan struct{}, 1)
	server, address := serve(t, &peer{watch: func(s etcdserverpb.Watch_WatchServer) error {
		_ = s.Send(&etcdserverpb.WatchResponse{})
		<-s.Context().Done()
		ended <- struct{}{}
		return nil
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	begin := func(ctx context.Context) *Stream {
		s, err := c.Stream(ctx, watch)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Receive(&etcdserverpb.WatchResponse{}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := begin(ctx)
	cancel()
	<-ended
	if err := s.Receive(&etcdserverpb.WatchResponse{}); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	s = begin(within(t, time.Minute))
	server.Stop()
	if err := s.Receive(&etcdserverpb.WatchResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("its peer is gone: %v", err)
	}
}

// TestClosingEndsWhatIsLeftOfOldConnections has a peer begin to stop: its connection takes no new calls, and keeps the
// stream that it has.
func TestClosingEndsWhatIsLeftOfOldConnections(t *testing.T) {
	server, address := serve(t, &peer{watch: func(s etcdserverpb.Watch_WatchServer) error {
		_ = s.Send(&etcdserverpb.WatchResponse{})
		<-s.Context().Done()
		return nil
	}}, "127.0.0.1:0")
	c := client(t, Config{Endpoints: []string{address}})
	s, err := c.Stream(within(t, time.Minute), watch)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Receive(&etcdserverpb.WatchResponse{}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { server.GracefulStop(); close(stopped) }()
	<-s.stream.conn.full
	_ = c.Close()
	if err := s.Receive(&etcdserverpb.WatchResponse{}); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), errClosed.Error()) {
		t.Errorf("the client is closed: %v", err)
	}
	<-stopped
}

func TestEndpointsThatAreNone(t *testing.T) {
	for _, e := range [][]string{nil, {"ftp://host:1"}, {"http://"}, {"http://%"}} {
		if c, err := New(Config{Endpoints: e}); err == nil {
			_ = c.Close()
			t.Errorf("%q is accepted", e)
		}
	}
}
