package containerd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Answers tells whether a runtime answers at the socket.
func Answers(ctx context.Context, socket string) error {
	client, err := cri.Dial("unix://" + socket)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := client.Version(ctx); err != nil {
		return fmt.Errorf("no container runtime answers at %s: %w", socket, err)
	}
	return nil
}

// stopAtOnce is how many pods are stopped beside each other.
const stopAtOnce = 8

// RemovePods stops and removes every pod of the runtime and answers how many there were.
func RemovePods(ctx context.Context, socket string) (int, error) {
	client, err := cri.Dial("unix://" + socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	sandboxes, err := client.ListPodSandbox(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("listing the pods of the runtime: %w", err)
	}
	var wait sync.WaitGroup
	errs, turn := make([]error, len(sandboxes)), make(chan struct{}, stopAtOnce)
	for i, s := range sandboxes {
		wait.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if errs[i] = client.StopPodSandbox(ctx, s.Id); errs[i] == nil {
				errs[i] = client.RemovePodSandbox(ctx, s.Id)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("removing the pod %s/%s: %w", s.Metadata.GetNamespace(), s.Metadata.GetName(), errs[i])
			}
		})
	}
	wait.Wait()
	return len(sandboxes), errors.Join(errs...)
}
