package others

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// patience is how long to wait for what should take seconds: machines that run tests are slow and shared.
const patience = time.Minute

func TestMain(m *testing.M) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	os.Exit(m.Run())
}

// program is a program that make has built.
func program(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("build it with make build test-tools: %v", err)
	}
	return file
}

// start has envtest run our apiserver and etcd, as the tests of any operator do.
func start(t *testing.T, env *envtest.Environment) *envtest.Environment {
	t.Helper()
	server := env.ControlPlane.GetAPIServer()
	server.Path = program(t, "bin/apiserver")
	server.CertDir = t.TempDir() // kept while the server is stopped, so that its clients know it again
	env.ControlPlane.Etcd = &envtest.Etcd{Path: program(t, "bin/etcd")}
	env.ControlPlane.KubectlPath = program(t, "out/tools/kubectl")
	env.ControlPlaneStartTimeout, env.ControlPlaneStopTimeout = patience, patience
	env.AttachControlPlaneOutput = testing.Verbose()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	if _, err := env.Start(); err != nil {
		t.Fatalf("starting the control plane: %v", err)
	}
	return env
}

func clientOf(t *testing.T, env *envtest.Environment) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually asks until there is no error any more.
func eventually(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}
