package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Release frees who writes an answer to a client that does not read it, a time of grace after ctx ended. The
// function that it gives must be called before the handler returns: w is not to be touched afterwards.
func Release(ctx context.Context, w http.ResponseWriter, grace time.Duration) func() {
	return after(ctx, func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(grace)) // what has no deadlines is no connection
	})
}

// ReleaseAfter is Release for a request that has a time, of which its context tells those who serve it.
func ReleaseAfter(limit time.Duration, w http.ResponseWriter, grace time.Duration) func() {
	var released sync.WaitGroup
	released.Add(1)
	t := time.AfterFunc(limit, func() {
		defer released.Done()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(grace))
	})
	return func() {
		if !t.Stop() {
			released.Wait()
		}
	}
}

// after calls f when ctx ends, unless the function that it gives is called before; that waits for f.
func after(ctx context.Context, f func()) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// Body gives a request's body, reading from which fails when ctx ends. A deadline is set while someone reads
// only: later it would end the whole connection.
func Body(ctx context.Context, w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	if body == nil || body == http.NoBody {
		return body
	}
	return &timedBody{body, ctx, http.NewResponseController(w)}
}

type timedBody struct {
	io.ReadCloser
	ctx     context.Context
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	defer after(b.ctx, func() { _ = b.control.SetReadDeadline(time.Now()) })()
	return b.ReadCloser.Read(p)
}

// inTime words an error that came because the request's time is over as such.
func inTime(r *http.Request, err error) error {
	if errors.Is(r.Context().Err(), context.DeadlineExceeded) {
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	return err
}
