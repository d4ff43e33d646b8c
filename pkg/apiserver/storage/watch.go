package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// watches are the streams that are open, each with one watch.
type watches struct {
	mu   sync.Mutex // held by nobody who sends
	open map[watchStream]sending
}

// sending is full while someone sends on a stream, which a peer that reads slowly may hold up.
type sending chan struct{}

func newWatches() watches { return watches{open: map[watchStream]sending{}} }

// A watch that was interrupted begins again after a pause.
const resumeAfter = 50 * time.Millisecond

func (e *Etcd) Watch(ctx context.Context, prefix string, after int64) <-chan Batch {
	out := make(chan Batch, 64)
	deliver := func(b Batch) error {
		select {
		case out <- b:
			after = b.Revision
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() {
		defer close(out)
		for interrupted := false; ; {
			began := after
			err := e.watch(ctx, prefix, after, deliver)
			if ctx.Err() != nil {
				return
			}
			if !resumable(err) {
				_ = deliver(Batch{Err: classified(ctx, "watching "+prefix, err)})
				return
			}
			if !interrupted || after > began {
				e.log.Info("The watch on etcd was interrupted; it goes on when etcd answers", "prefix", prefix, "reason", err.Error())
			}
			interrupted = true
			select {
			case <-time.After(resumeAfter):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// resumable says whether a watch may go on elsewhere from where it was.
func resumable(err error) bool {
	c := status.Code(err)
	return c == codes.Unavailable || c == codes.Internal || errors.Is(err, io.EOF)
}

// watch delivers what follows a revision until its stream ends.
func (e *Etcd) watch(ctx context.Context, prefix string, after int64, deliver func(Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.calls.Watch(ctx)
	if err != nil {
		return err
	}
	create := &etcdserverpb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: afterPrefix(prefix), StartRevision: after + 1, ProgressNotify: true}
	if err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return err
	}
	e.watches.add(stream)
	defer e.watches.remove(stream)
	for {
		r, err := stream.Recv()
		switch {
		case err != nil:
			return err
		case r.Canceled && r.CompactRevision != 0:
			return ErrCompacted
		case r.Canceled:
			return fmt.Errorf("etcd refuses the watch: %s", r.CancelReason)
		case r.Created:
			continue // its revision may be ahead of events that are yet to come
		}
		if err := deliver(batchOf(r)); err != nil {
			return err
		}
	}
}

func batchOf(r *etcdserverpb.WatchResponse) Batch {
	b := Batch{Revision: r.Header.Revision}
	n := len(r.Events)
	if n == 0 {
		return b
	}
	b.Events = make([]Event, n)
	for i, ev := range r.Events {
		b.Events[i] = Event{
			KeyValue: KeyValue{string(ev.Kv.Key), ev.Kv.Value, ev.Kv.CreateRevision, ev.Kv.ModRevision},
			Deleted:  ev.Type == mvccpb.DELETE,
		}
	}
	b.Revision = b.Events[n-1].ModRevision // the header may be ahead of what this answer holds
	return b
}

func (w *watches) add(s watchStream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[s] = make(sending, 1)
}

func (w *watches) remove(s watchStream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, s)
}

// RequestProgress returns when the question is on its way to all. A stream that does not take it holds up who asks for
// as long as ctx lets it.
func (e *Etcd) RequestProgress(ctx context.Context) error {
	w := &e.watches
	w.mu.Lock()
	n := len(w.open)
	asked := make(chan struct{}, n)
	for s, busy := range w.open {
		go func() { w.askProgress(ctx, s, busy); asked <- struct{}{} }()
	}
	w.mu.Unlock()
	for range n {
		select {
		case <-asked:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// askProgress asks on one stream, when nobody else does. One that cannot send has ended, which its watch learns, and is
// not asked for more.
func (w *watches) askProgress(ctx context.Context, s watchStream, busy sending) {
	select {
	case busy <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-busy }()
	if err := s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}}); err != nil {
		w.remove(s)
	}
}
