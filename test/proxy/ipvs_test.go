package proxy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/proxy"
)

// insideUML is set where this test runs as the only program of a user-mode Linux.
const insideUML = "SAMPAN_INSIDE_UML"

// initScript is the first and only process of the user-mode Linux. Its root is this machine's file
// system, so it keeps what it mounts to itself and writes in one folder only.
const initScript = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run %[3]s=1
for m in veth dummy ip_vs ip_vs_rr nf_conntrack nf_conntrack_netlink iptable_nat ip6table_nat xt_MASQUERADE xt_ipvs; do
  modprobe -d %[1]s $m || echo "no module $m"
done
ip link set lo up
cd %[1]s && %[1]s/proxy.test -test.v -test.run 'TestIPVS$' > %[1]s/log 2>&1
echo $? > %[1]s/code
sync
%[2]s poweroff -f
`

// TestIPVS runs the contract in a kernel that has IPVS: this one, or a user-mode Linux.
func TestIPVS(t *testing.T) {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil || os.Getenv(insideUML) != "" {
		testKernel(t, proxy.IPVS)
		return
	}
	dir := t.TempDir()
	modules := filepath.Join(dir, "lib")
	for _, err := range []error{
		os.MkdirAll(modules, 0o755),
		os.Symlink("/usr/lib/uml/modules", filepath.Join(modules, "modules")),
		os.WriteFile(filepath.Join(dir, "init"), fmt.Appendf(nil, initScript, dir, "/bin/busybox", insideUML), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "proxy.test"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the test for user-mode Linux: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	uml := exec.CommandContext(ctx, "linux.uml", "mem=512M", "rootfstype=hostfs", "rootflags=/", "rw",
		"init="+filepath.Join(dir, "init"), "quiet", "con0=fd:0,fd:1", "con=null")
	uml.Dir, uml.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	console, err := uml.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	code, _ := os.ReadFile(filepath.Join(dir, "code"))
	t.Logf("%s", log)
	if strings.TrimSpace(string(code)) != "0" {
		t.Fatalf("the test failed in user-mode Linux (is the package user-mode-linux installed?): %v\n%s", err, console)
	}
}
