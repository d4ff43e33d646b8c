package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Config says whom a Client calls.
type Config struct {
	// Endpoints are URLs with the schemes http, https, unix and unixs, or host:port.
	Endpoints []string
	// TLS is for endpoints whose scheme demands it, and for those without a scheme where it is set.
	TLS *tls.Config
	// Repeatable are the methods, as "/service/method", that may be called again when nobody knows whether they were
	// carried out.
	Repeatable []string
}

// Client calls methods of servers that stand for each other: one call after another goes to the next of those that can be
// reached. It keeps a connection to each, and makes it anew when it has ended.
type Client struct {
	repeatable []string
	next       atomic.Uint32
	ctx        context.Context
	cancel     context.CancelFunc

	mu        sync.Mutex // guards what follows, and the endpoints' state
	endpoints []*endpoint
	ready     []*conn // never changed: replaced
	leaving   []*conn // take no new calls, and have some that go on
	changed   chan struct{}
}

// New makes a client, which begins to connect.
func New(cfg Config) (*Client, error) {
	c := &Client{repeatable: cfg.Repeatable, changed: make(chan struct{})}
	for _, address := range cfg.Endpoints {
		e, err := parse(address, cfg.TLS)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, e)
	}
	if len(c.endpoints) == 0 {
		return nil, errors.New("there is no endpoint to connect to")
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, e := range c.endpoints {
		go c.keepConnected(e)
	}
	return c, nil
}

// Close ends all connections, and the calls on them.
func (c *Client) Close() error {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, made := range slices.Concat(c.ready, c.leaving) {
		_ = made.fail(errClosed)
	}
	c.ready, c.leaving = nil, nil
	c.publish()
	return nil
}

var errClosed = errors.New("the client was closed")

// The pause before an endpoint is tried again grows with each failure, and with each connection that ended at once: a
// proxy whose server is gone greets everybody and hangs up.
const (
	firstPause = 20 * time.Millisecond
	mostPause  = time.Second
)

// keepConnected holds a connection to an endpoint until the client is closed.
func (c *Client) keepConnected(e *endpoint) {
	pause := firstPause
	for c.ctx.Err() == nil {
		made, err := e.connect(c.ctx)
		if err == nil {
			began := time.Now()
			c.serve(e, made)
			if time.Since(began) > mostPause {
				pause = firstPause
				continue
			}
		} else {
			c.mu.Lock()
			e.err = err
			c.publish()
			c.mu.Unlock()
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
		pause = min(2*pause, mostPause)
	}
}

// serve offers a connection to callers for as long as it takes calls.
func (c *Client) serve(e *endpoint, made *conn) {
	c.mu.Lock()
	e.err = nil
	if c.ctx.Err() != nil {
		_ = made.fail(errClosed)
	} else {
		c.ready = append(slices.Clone(c.ready), made)
	}
	c.publish()
	c.mu.Unlock()
	<-made.full
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = slices.DeleteFunc(slices.Clone(c.ready), func(o *conn) bool { return o == made })
	c.leaving = append(slices.DeleteFunc(c.leaving, func(o *conn) bool { return o.ended() != nil }), made)
	if c.ctx.Err() != nil { // Close has seen neither
		_ = made.fail(errClosed)
	}
	c.publish()
}

// publish wakes who waits for a connection. The caller holds mu.
func (c *Client) publish() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// pick gives the connection for the next call. While none is there it waits for endpoints that have not failed.
func (c *Client) pick(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		ready, changed, err := c.ready, c.changed, c.failures()
		c.mu.Unlock()
		switch {
		case len(ready) > 0:
			return ready[int(c.next.Add(1))%len(ready)], nil
		case c.ctx.Err() != nil:
			return nil, status.Error(codes.Canceled, errClosed.Error())
		case err != nil:
			return nil, unsent{unavailable(err)}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, statusOf(ctx.Err())
		}
	}
}

// failures is why no endpoint can be reached, nil while one may yet be. The caller holds mu.
func (c *Client) failures() error {
	all := make([]error, len(c.endpoints))
	for i, e := range c.endpoints {
		if e.err == nil {
			return nil
		}
		all[i] = e.err
	}
	return fmt.Errorf("no endpoint can be reached: %w", errors.Join(all...))
}

// What failed before its peer looked at it, or may be repeated, is tried again for a while, on the next endpoint each
// time; all have had a turn before each pause.
const (
	patience   = 3 * time.Second
	retryAfter = 25 * time.Millisecond
)

// Call calls a method, as "/service/method", with one request and one reply. Its errors have gRPC's statuses.
func (c *Client) Call(ctx context.Context, method string, request, reply Message) error {
	err := c.once(ctx, method, request, reply)
	if err == nil || !c.mayRepeat(method, err) {
		return err
	}
	until := time.NewTimer(patience)
	defer until.Stop()
	for attempt := 1; ; attempt++ {
		if attempt%len(c.endpoints) == 0 {
			select {
			case <-time.After(retryAfter):
			case <-until.C:
				return err
			case <-ctx.Done():
				return status.Errorf(status.FromContextError(ctx.Err()).Code(), "%v, after: %v", ctx.Err(), status.Convert(err).Message())
			}
		}
		if err = c.once(ctx, method, request, reply); err == nil || !c.mayRepeat(method, err) {
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, method string, request, reply Message) error {
	conn, err := c.pick(ctx)
	if err != nil {
		return err
	}
	return conn.call(ctx, method, request, reply)
}

func (c *Client) mayRepeat(method string, err error) bool {
	var before unsent
	return errors.As(err, &before) || status.Code(err) == codes.Unavailable && slices.Contains(c.repeatable, method)
}

// Stream begins a stream of messages both ways, which ends with ctx. It is not tried again: who follows a stream has to
// begin it again at any time.
func (c *Client) Stream(ctx context.Context, method string) (*Stream, error) {
	conn, err := c.pick(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{signal: make(chan struct{}, 1)}
	if err := conn.start(ctx, s, method, nil, false); err != nil {
		return nil, statusOf(err)
	}
	context.AfterFunc(ctx, func() { conn.reset(s) })
	return &Stream{s}, nil
}
