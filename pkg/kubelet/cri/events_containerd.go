package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	subscribeMethod = "/containerd.services.events.v1.Events/Subscribe"
	// exitsOfPods selects the ends of processes in the namespace in which containerd keeps what CRI made.
	exitsOfPods = `namespace==k8s.io,topic=="/tasks/exit"`
	// recordedWithin is how long containerd's CRI part may take to record an exit that containerd told of.
	recordedWithin = 5 * time.Second
)

// taskEvents follows containerd's own events. The two messages are read and written by field numbers: the
// filter list is, on the wire, a message with one string; an envelope is kept as unknown fields of an empty one.
func (c *Client) taskEvents(ctx context.Context, connected func(), handle func(*ContainerEvent)) error {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, subscribeMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.String(exitsOfPods)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	established, stop := settle(connected)
	defer stop()
	for {
		var envelope emptypb.Empty
		err := stream.RecvMsg(&envelope)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		established()
		exit, err := parseExit(envelope.ProtoReflect().GetUnknown())
		if err != nil {
			return err
		}
		if exit.process != exit.container {
			continue // a command that was run inside the container
		}
		c.awaitRecorded(ctx, exit.container)
		handle(&ContainerEvent{ContainerId: exit.container, ContainerEventType: ContainerStoppedEvent, CreatedAt: time.Now().UnixNano()})
	}
}

// awaitRecorded waits until CRI answers that the container or sandbox has ended, which follows containerd's
// own event by some milliseconds.
func (c *Client) awaitRecorded(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, recordedWithin)
	defer cancel()
	for wait := 2 * time.Millisecond; ; wait *= 2 {
		r, err := c.ContainerStatus(ctx, id, false)
		if err != nil {
			s, sandboxErr := c.PodSandboxStatus(ctx, id, false)
			if sandboxErr != nil || s.GetStatus().GetState() != SandboxReady {
				return
			}
		} else if r.GetStatus().GetState() != ContainerRunning {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

type taskExit struct{ container, process string }

// parseExit reads a containerd Envelope (field 4: the event as Any) that holds a TaskExit (1: container,
// 2: process).
func parseExit(envelope []byte) (taskExit, error) {
	anyMessage, err := field(envelope, 4)
	if err != nil {
		return taskExit{}, err
	}
	value, err := field(anyMessage, 2)
	if err != nil {
		return taskExit{}, err
	}
	container, err := field(value, 1)
	if err != nil {
		return taskExit{}, err
	}
	process, err := field(value, 2)
	if err != nil {
		return taskExit{}, err
	}
	return taskExit{container: string(container), process: string(process)}, nil
}

// field finds the last length-delimited field with a number, nil where there is none.
func field(message []byte, number protowire.Number) ([]byte, error) {
	var found []byte
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, fmt.Errorf("reading an event of containerd: %w", protowire.ParseError(size))
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return nil, fmt.Errorf("reading an event of containerd: %w", protowire.ParseError(size))
			}
			found, message = value, message[size:]
			continue
		}
		size = protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return nil, fmt.Errorf("reading an event of containerd: %w", protowire.ParseError(size))
		}
		message = message[size:]
	}
	return found, nil
}
