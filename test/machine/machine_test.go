// Package machine shows what a cluster does on a whole machine: a Debian 12 with nothing on it but what
// .ci/packages installs, with systemd as its init and one hierarchy of cgroups. The machine is a user-mode Linux,
// which needs neither virtualisation nor anything of this host's but files. test/machine/image makes its disk.
package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sampan-project/sampan/test/cluster"
)

// inside names, where this test runs on the machine, the step that it carries out there.
const inside = "SAMPAN_INSIDE_MACHINE"

// bootWithin is how long the machine may take from its start until it is off again.
const bootWithin = 25 * time.Minute

// The machine's steps, each from its start until it is switched off.
var steps = []struct {
	name string
	run  func(*testing.T)
}{
	{"ClusterIsMade", clusterIsMade},
	{"MachineComesBack", machineComesBack},
}

// TestMachine boots the machine once for each step.
func TestMachine(t *testing.T) {
	if name := os.Getenv(inside); name != "" {
		for _, s := range steps {
			if s.name == name {
				s.run(t)
				return
			}
		}
		t.Fatalf("there is no step %q", name)
	}
	m := newMachine(t)
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { m.boot(t, s.name) }) {
			return // what follows builds on it
		}
	}
}

// machine is one that is switched off.
type machine struct {
	disk   string // with what this test wrote to it; the disk that was made stays as it is
	share  string // a folder that the machine has, too
	memory string // a folder for the file that is its memory
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a machine needs root: run the tests as root")
	}
	made := filepath.Join(cluster.Root(), "out", "machine", "debian.img")
	if _, err := os.Stat(made); err != nil {
		t.Fatalf("the machine has no disk (make test-tools makes it): %v", err)
	}
	// What the machine finds newer than its programs it would build anew, and it cannot.
	if err := cluster.Make(t.Context(), &cluster.Tee{Line: func(l string) { t.Log(l) }}, "build", "images"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := &machine{disk: filepath.Join(dir, "changes") + "," + made, share: filepath.Join(dir, "share"), memory: filepath.Join(dir, "memory")}
	for _, d := range []string{m.share, m.memory} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", filepath.Join(m.share, "machine.test"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building what runs on the machine: %v\n%s", err, out)
	}
	return m
}

// stepScript is what the machine's unit step.service runs.
const stepScript = `export PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
cd /sampan/test/machine
%s=%s /share/machine.test -test.v -test.timeout 24m -test.run '^TestMachine$' >/share/log 2>&1
echo $? >/share/code
sync
systemctl poweroff
`

// boot starts the machine, lets it carry out a step and waits until it is off. It runs in namespaces of its own,
// so that nothing of it is left when the first of its processes ends.
func (m *machine) boot(t *testing.T, step string) {
	for file, content := range map[string]string{"step": fmt.Sprintf(stepScript, inside, step), "log": "", "code": ""} {
		if err := os.WriteFile(filepath.Join(m.share, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootWithin)
	defer cancel()
	root, err := filepath.Abs(cluster.Root())
	if err != nil {
		t.Fatal(err)
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Its memory is a file that no disk need hold. What it writes is on the host's disk when the test ends, or never.
	linux := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child",
		"sh", "-c", `mount -t tmpfs tmpfs "$1" && export TMPDIR="$1" && shift && exec "$@"`, "sh", m.memory,
		"linux.uml", "mem=3G", "rootflags=barrier=0", "ubd0="+m.disk, "root=/dev/ubda", "rw", "quiet", "con0=null,fd:1", "con=null", "ssl=null",
		"init=/sbin/init-machine", "repository="+root, "goroot="+strings.TrimSpace(string(goroot)), "share="+m.share)
	var console bytes.Buffer
	linux.Stdout, linux.Stderr = &console, &console
	linux.WaitDelay = 10 * time.Second
	err = linux.Run()
	log, _ := os.ReadFile(filepath.Join(m.share, "log"))
	code, _ := os.ReadFile(filepath.Join(m.share, "code"))
	t.Logf("%s", log)
	if strings.TrimSpace(string(code)) != "0" {
		t.Fatalf("the step failed (is the package user-mode-linux installed?): %v\nthe machine's console:\n%s", err, &console)
	}
}
