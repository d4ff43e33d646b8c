package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// watches are the streams that are open, each with one watch.
type watches struct {
	turn chan struct{} // is full while someone sends on one of them, which a peer that reads slowly may hold up
	open map[watchStream]struct{}
}

func newWatches() watches {
	return watches{turn: make(chan struct{}, 1), open: map[watchStream]struct{}{}}
}

func (w *watches) lock(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *watches) unlock() { <-w.turn }

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
	if err := e.watches.add(ctx, stream, &etcdserverpb.WatchCreateRequest{
		Key: []byte(prefix), RangeEnd: afterPrefix(prefix), StartRevision: after + 1, ProgressNotify: true,
	}); err != nil {
		return err
	}
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

func (w *watches) add(ctx context.Context, s watchStream, create *etcdserverpb.WatchCreateRequest) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	defer w.unlock()
	if err := s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return err
	}
	w.open[s] = struct{}{}
	return nil
}

func (w *watches) remove(s watchStream) {
	_ = w.lock(context.Background()) // who sends on an ended stream learns that
	defer w.unlock()
	delete(w.open, s)
}

// RequestProgress returns when the question is on its way. A stream that does not take it holds up who asks for as long
// as ctx lets it.
func (e *Etcd) RequestProgress(ctx context.Context) error {
	w := &e.watches
	if err := w.lock(ctx); err != nil {
		return err
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		defer w.unlock()
		for s := range w.open {
			// One that cannot send has ended, which its watch learns, and is not asked for more.
			if err := s.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}}); err != nil {
				delete(w.open, s)
			}
		}
	}()
	select {
	case <-asked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
