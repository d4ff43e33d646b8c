package cri

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// streamSettles is how long a stream of events must stand without an error before it counts as
// established: runtimes send nothing at all until the first event.
const streamSettles = 200 * time.Millisecond

// GetContainerEvents follows CRI's event stream. containerd before 1.7 does not have that call but tells of
// its tasks on the same socket by a service of its own, which is followed instead.
func (c *Client) GetContainerEvents(ctx context.Context, connected func(), handle func(*ContainerEvent)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := c.criEvents(ctx, connected, handle)
	if !IsUnimplemented(err) {
		return err
	}
	return c.taskEvents(ctx, connected, handle)
}

func (c *Client) criEvents(ctx context.Context, connected func(), handle func(*ContainerEvent)) error {
	stream, err := c.runtime.GetContainerEvents(ctx, &runtimev1.GetEventsRequest{})
	if err != nil {
		return err
	}
	established, stop := settle(connected)
	defer stop()
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		established()
		handle(event)
	}
}

// settle calls connected once: when established is called, or after a while in which stop was not.
func settle(connected func()) (established, stop func()) {
	once := sync.OnceFunc(connected)
	timer := time.AfterFunc(streamSettles, once)
	return once, func() { timer.Stop() }
}
