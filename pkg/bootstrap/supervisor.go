package bootstrap

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/kubelet"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/supervise"
)

func containerdProgram(path string) *supervise.Program {
	return &supervise.Program{
		Name: "containerd", Path: path, Args: func() ([]string, error) { return nil, nil },
		PIDFile: containerdPID, LogFile: filepath.Join(layout.LogDir, "containerd.log"), Grace: grace,
	}
}

func kubeletProgram(path string) *supervise.Program {
	return &supervise.Program{
		Name: "kubelet", Path: path, PIDFile: kubeletPID, LogFile: filepath.Join(layout.LogDir, "kubelet.log"), Grace: 10 * time.Second,
		Args: func() ([]string, error) {
			if _, err := os.Stat(layout.KubeletConfig); err != nil {
				return nil, errors.New("the kubelet is not configured yet")
			}
			return kubelet.Args(layout.Layout{})
		},
	}
}

// Supervise keeps a node's programs running until ctx ends. Either path may be empty.
func Supervise(ctx context.Context, c clock.WithTicker, log logr.Logger, containerdPath, kubeletPath string) error {
	restart := make(chan string)
	s := &supervise.Supervisor{PIDFile: supervisorPID, Clock: c, Log: log, Restart: restart}
	if containerdPath != "" {
		s.Programs = append(s.Programs, containerdProgram(containerdPath))
	}
	if kubeletPath != "" {
		s.Programs = append(s.Programs, kubeletProgram(kubeletPath))
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, supervise.KubeletSignal, supervise.RuntimeSignal)
	defer signal.Stop(signals)
	go func() {
		for {
			name := ""
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				name = map[os.Signal]string{supervise.KubeletSignal: "kubelet", supervise.RuntimeSignal: "containerd"}[sig]
			}
			select {
			case restart <- name:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.Run(ctx)
}
