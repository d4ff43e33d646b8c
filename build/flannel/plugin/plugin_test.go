package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// node is a directory with flanneld's file, and a plugin called bridge that records how it is called.
type node struct{ dir, config string }

func newNode(t *testing.T) node {
	t.Helper()
	n := node{dir: t.TempDir()}
	script := `#!/bin/sh
cat > "` + n.dir + `/$CNI_COMMAND"
[ -e "` + n.dir + `/broken" ] && { echo '{"code":100,"msg":"broken"}'; exit 1; }
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.244.1.5/24"}]}'
`
	if err := errors.Join(
		os.WriteFile(filepath.Join(n.dir, "bridge"), []byte(script), 0o755),
		os.WriteFile(filepath.Join(n.dir, "subnet.env"), []byte(subnetEnv), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CNI_PATH", n.dir)
	t.Setenv("CNI_CONTAINERID", "pod-1")
	t.Setenv("CNI_NETNS", "/proc/self/ns/net")
	t.Setenv("CNI_IFNAME", "eth0")
	n.config = fmt.Sprintf(`{"cniVersion":"1.0.0","name":"cbr0","type":"flannel","subnetFile":"%[1]s/subnet.env","dataDir":"%[1]s/data"%%s}`, n.dir)
	return n
}

func (n node) args(more string) *skel.CmdArgs {
	return &skel.CmdArgs{ContainerID: "pod-1", StdinData: fmt.Appendf(nil, n.config, more)}
}

// called returns the configuration that the delegated plugin was called with, and forgets it.
func (n node) called(t *testing.T, command string) map[string]any {
	t.Helper()
	file := filepath.Join(n.dir, command)
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var got map[string]any
	if err := errors.Join(err, json.Unmarshal(content, &got), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	return got
}

// printed returns what f prints.
func printed(t *testing.T, f func() error) (string, error) {
	t.Helper()
	old := os.Stdout
	defer func() { os.Stdout = old }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = w
	failed := f()
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), failed
}

func TestConnectsChecksAndDisconnectsByWhatWasDelegated(t *testing.T) {
	n := newNode(t)
	t.Setenv("CNI_COMMAND", "ADD")
	out, err := printed(t, func() error { return add(n.args("")) })
	if err != nil || !strings.Contains(out, "10.244.1.5/24") {
		t.Fatalf("ADD printed %q, error %v", out, err)
	}
	added := n.called(t, "ADD")

	// Whatever flanneld says later, a pod is checked and disconnected as it was connected.
	if err := os.Remove(filepath.Join(n.dir, "subnet.env")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CNI_COMMAND", "CHECK")
	if err := check(n.args(`,"prevResult":{"cniVersion":"1.0.0"}`)); err != nil {
		t.Fatal(err)
	}
	checked := n.called(t, "CHECK")
	if checked["prevResult"] == nil || fmt.Sprint(checked["ipam"]) != fmt.Sprint(added["ipam"]) {
		t.Errorf("CHECK delegated %v after ADD delegated %v", checked, added)
	}
	t.Setenv("CNI_COMMAND", "DEL")
	broken := filepath.Join(n.dir, "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := del(n.args("")); err == nil {
		t.Error("DEL succeeded although the delegated plugin failed")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if err := del(n.args("")); err != nil {
		t.Fatal(err)
	}
	if deleted := n.called(t, "DEL"); fmt.Sprint(deleted) != fmt.Sprint(added) {
		t.Errorf("DEL delegated %v, want what ADD delegated: %v", deleted, added)
	}
	if err := del(n.args("")); err != nil || n.called(t, "DEL") != nil {
		t.Errorf("the second DEL: error %v; want none, and nothing delegated", err)
	}
}

func TestRuntimeIsToldToTryAgainUntilFlanneldIsUp(t *testing.T) {
	n := newNode(t)
	if err := os.Remove(filepath.Join(n.dir, "subnet.env")); err != nil {
		t.Fatal(err)
	}
	var cni *types.Error
	if err := add(n.args("")); !errors.As(err, &cni) || cni.Code != types.ErrTryAgainLater {
		t.Errorf("error %v, want code %d", err, types.ErrTryAgainLater)
	}
}

func TestInstallPutsPluginAndConfigurationInPlace(t *testing.T) {
	dir := t.TempDir()
	conf, to := filepath.Join(dir, "cni-conf.json"), filepath.Join(dir, "net.d", "10-flannel.conflist")
	if err := os.WriteFile(conf, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a node may be set up again
		if err := command([]string{"install", "--bin-dir", filepath.Join(dir, "bin"), "--conf", conf, "--to", to}); err != nil {
			t.Fatal(err)
		}
	}
	for file, mode := range map[string]os.FileMode{filepath.Join(dir, "bin", "flannel"): 0o755, to: 0o644} {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != mode || info.Size() == 0 {
			t.Errorf("%s: %v, error %v; want mode %v and contents", file, info, err, mode)
		}
	}
	if err := command([]string{"instal"}); err == nil || !strings.Contains(err.Error(), "install") {
		t.Errorf("error %v, want one that names the command there is", err)
	}
}
