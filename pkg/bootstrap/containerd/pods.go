package containerd

import (
	"context"
	"encoding/json"
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

// RemovePods stops and removes every pod of the runtime and answers how many there were, and the network namespaces of
// those that it could not remove.
func RemovePods(ctx context.Context, socket string) (n int, held []string, err error) {
	client, err := cri.Dial("unix://" + socket)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = client.Close() }()
	return removePods(ctx, client)
}

func removePods(ctx context.Context, client cri.Runtime) (n int, held []string, err error) {
	sandboxes, err := client.ListPodSandbox(ctx, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("listing the pods of the runtime: %w", err)
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
	for i, s := range sandboxes {
		if errs[i] == nil {
			continue
		}
		if status, e := client.PodSandboxStatus(ctx, s.Id, true); e == nil {
			held = append(held, networkOf(status.Info["info"])...)
		}
	}
	return len(sandboxes), held, errors.Join(errs...)
}

// networkOf reads the path of a pod's network namespace from what containerd tells of it.
func networkOf(info string) (paths []string) {
	var told struct {
		RuntimeSpec struct {
			Linux struct {
				Namespaces []struct{ Type, Path string }
			}
		}
	}
	if json.Unmarshal([]byte(info), &told) != nil {
		return nil
	}
	for _, n := range told.RuntimeSpec.Linux.Namespaces {
		if n.Type == "network" && n.Path != "" {
			paths = append(paths, n.Path)
		}
	}
	return paths
}
