package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// slowEtcd answers nothing until it is let go on.
type slowEtcd struct {
	calls
	goOn   chan struct{}
	asked  atomic.Int64
	answer error
}

func (s *slowEtcd) LeaseGrant(ctx context.Context, _ *etcdserverpb.LeaseGrantRequest) (*etcdserverpb.LeaseGrantResponse, error) {
	id := s.asked.Add(1)
	select {
	case <-s.goOn:
		return &etcdserverpb.LeaseGrantResponse{ID: id}, s.answer
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slowEtcd) Send(*etcdserverpb.WatchRequest) error { <-s.goOn; return nil }

func (s *slowEtcd) Recv() (*etcdserverpb.WatchResponse, error) {
	<-s.goOn
	return nil, errors.New("over")
}

// TestWhoAsksForProgressWaitsNoLongerThanItWants asks on a stream whose peer does not read.
func TestWhoAsksForProgressWaitsNoLongerThanItWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowEtcd{goOn: make(chan struct{})}
		e := newEtcd(slow, logr.Discard())
		e.watches.add(slow)
		for _, which := range []string{"who asks", "who waits for its turn"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begun := time.Now()
			if err := e.RequestProgress(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("%s: %v after %v", which, err, time.Since(begun))
			}
			cancel()
		}
		close(slow.goOn)
		if err := e.RequestProgress(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// quickStream takes every question at once.
type quickStream struct {
	watchStream
	asked atomic.Int64
}

func (s *quickStream) Send(*etcdserverpb.WatchRequest) error { s.asked.Add(1); return nil }

// TestAStreamThatIsNotReadHoldsUpNoOther asks all for their progress while the peer of one does not read: the others are
// asked each time, and end at once.
func TestAStreamThatIsNotReadHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &slowEtcd{goOn: make(chan struct{})}, &quickStream{}
		e := newEtcd(slow, logr.Discard())
		e.watches.add(slow)
		e.watches.add(quick)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := e.RequestProgress(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who asks the slow one too: %v", err)
			}
			cancel()
		}
		if n := quick.asked.Load(); n != 2 {
			t.Errorf("the other was asked %d times, want 2", n)
		}
		e.watches.remove(quick) // else the bubble says that all wait for each other
		close(slow.goOn)
	})
}

// TestLeasesAreAskedForOnceAndWaitedForApart has many keys wait for one lease, of whom one gives up, while keys that
// live for another time get theirs.
func TestLeasesAreAskedForOnceAndWaitedForApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowEtcd{goOn: make(chan struct{})}
		l := newLeases(slow)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.get(impatient, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up first: %v", err)
		}
		got := make(chan int64, 20)
		for i := range cap(got) {
			go func() {
				id, err := l.get(t.Context(), time.Hour*time.Duration(1+i%2))
				if err != nil {
					t.Error(err)
				}
				got <- id
			}()
		}
		synctest.Wait()
		close(slow.goOn)
		ids := map[int64]bool{}
		for range cap(got) {
			ids[<-got] = true
		}
		if n := slow.asked.Load(); n != 2 || len(ids) != 2 {
			t.Errorf("two leases were asked for %d times, and gave %v", n, ids)
		}
		time.Sleep(2 * time.Minute) // made-up time: both are past being shared
		if id, err := l.get(t.Context(), time.Hour); err != nil || id != 3 {
			t.Errorf("after a lease is past being shared: %d, %v", id, err)
		}
	})
}

// TestALeaseThatIsRefusedIsAskedForAgain has etcd refuse one, and then give one.
func TestALeaseThatIsRefusedIsAskedForAgain(t *testing.T) {
	slow := &slowEtcd{goOn: make(chan struct{}), answer: errors.New("no")}
	close(slow.goOn)
	l := newLeases(slow)
	if _, err := l.get(t.Context(), time.Hour); !errors.Is(err, slow.answer) {
		t.Errorf("refused: %v", err)
	}
	slow.answer = nil
	if id, err := l.get(t.Context(), time.Hour); err != nil || id != 2 {
		t.Errorf("then given: %d, %v", id, err)
	}
}
