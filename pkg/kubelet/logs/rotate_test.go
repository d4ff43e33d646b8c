package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// logging makes a runtime with one running container, and answers the path of its log.
func logging(t *testing.T, clock *clocktesting.FakeClock) (*cri.Fake, string) {
	t.Helper()
	runtime := cri.NewFake(clock, "image")
	dir := t.TempDir()
	sandbox := &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "p", Namespace: "n", Uid: "u"}, LogDirectory: dir}
	s, err := runtime.RunPodSandbox(t.Context(), sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	id, err := runtime.CreateContainer(t.Context(), s, &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "c"}, Image: &cri.ImageSpec{Image: "image"}, LogPath: "0.log",
	}, sandbox)
	if err == nil {
		err = runtime.StartContainer(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return runtime, filepath.Join(dir, "0.log")
}

func names(t *testing.T, path string) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		out = append(out, f.Name())
	}
	return out
}

func TestLogsAreRotatedCompressedAndCounted(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	runtime, path := logging(t, clock)
	r := NewRotator(RotationConfig{Runtime: runtime, MaxSize: 1000, MaxFiles: 3, Clock: clock, Log: logr.Discard()})
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, path); fmt.Sprint(got) != "[0.log]" {
		t.Errorf("a small log became %v", got)
	}
	for i := range 4 {
		appendTo(t, path, entries(1000*i, 1000*(i+1)))
		clock.Step(time.Minute)
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, path, entries(4000, 4001))
	if got := names(t, path); fmt.Sprint(got) != "[0.log 0.log.20260101-000300.gz 0.log.20260101-000400]" {
		t.Errorf("the files are %v", got)
	}
	var out bytes.Buffer
	if err := Read(t.Context(), path, Options{Tail: -1, Limit: -1}, nil, &out, &out); err != nil || out.String() != texts(2000, 4001) {
		t.Errorf("read %d bytes, want %d: %v", out.Len(), len(texts(2000, 4001)), err)
	}
}

// full is a runtime that cannot begin new logs.
type full struct{ *cri.Fake }

func (full) ReopenContainerLog(context.Context, string) error { return errors.New("no disk") }

func TestLogKeepsItsNameWhenTheRuntimeCannotReopen(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	runtime, path := logging(t, clock)
	appendTo(t, path, entries(0, 1000))
	r := NewRotator(RotationConfig{Runtime: full{runtime}, MaxSize: 1000, MaxFiles: 3, Clock: clock, Log: logr.Discard()})
	if err := r.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("got %v", err)
	}
	if got := names(t, path); fmt.Sprint(got) != "[0.log]" {
		t.Errorf("the files are %v", got)
	}
}
