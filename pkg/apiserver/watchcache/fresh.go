package watchcache

import (
	"context"
	"errors"
	"sync"
	"time"
)

// question asks etcd for its revision on behalf of all who want to know it at the time: an answer serves
// everyone who came before it was asked for.
type question struct {
	ask func(context.Context) (int64, error)

	mu     sync.Mutex
	asking bool
	next   *answer // to the question that will be put when the present one is answered
}

// answer is one revision of etcd, known when done is closed.
type answer struct {
	done     chan struct{}
	revision int64
	err      error
	askers   int // guarded by the question's mu until it is put
}

// A question that many waited for is followed by a pause, so that the next one serves many too: putting one costs more
// than all else that a read costs. Where few ask nobody waits for others.
const (
	many  = 4
	pause = time.Millisecond
)

// askFor bounds one question. Each who waits has an end of its own, and until then asks again: etcd may answer the next
// one, on another connection.
const askFor = 10 * time.Second

// revision is one that etcd had after the call. An error that is context.DeadlineExceeded tells of ctx's end.
func (q *question) revision(ctx context.Context) (int64, error) {
	for {
		revision, err := q.answered(ctx)
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return revision, err
		}
	}
}

// answered is revision by one question.
func (q *question) answered(ctx context.Context) (int64, error) {
	q.mu.Lock()
	if q.next == nil {
		q.next = &answer{done: make(chan struct{})}
	}
	a := q.next
	a.askers++
	if !q.asking {
		q.asking = true
		go q.run(context.WithoutCancel(ctx))
	}
	q.mu.Unlock()
	select {
	case <-a.done:
		return a.revision, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run puts one question after another until nobody wants to know.
func (q *question) run(ctx context.Context) {
	for {
		q.mu.Lock()
		a := q.next
		q.next = nil
		q.asking = a != nil
		q.mu.Unlock()
		if a == nil {
			return
		}
		asked, cancel := context.WithTimeout(ctx, askFor)
		a.revision, a.err = q.ask(asked)
		cancel()
		close(a.done)
		if a.askers >= many && a.err == nil {
			time.Sleep(pause)
		}
	}
}

// Present is etcd's revision, or one that it had since the call. The log may be on its way there.
func (c *Cache) Present(ctx context.Context) (int64, error) { return c.present.revision(ctx) }

// Fresh waits until the log has reached what etcd holds now, and answers that revision.
func (c *Cache) Fresh(ctx context.Context) (int64, error) {
	revision, err := c.Present(ctx)
	if err != nil {
		return 0, err
	}
	return revision, c.WaitFor(ctx, revision)
}
