package containerd

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dump = `disabled_plugins = []
version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    restrict_oom_score_adj = false
    sandbox_image = "registry.k8s.io/pause:3.6"
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/nowhere"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
`

func TestDumpIsRead(t *testing.T) {
	got := ParseDump(dump)
	if d := cmp.Diff(Effective{SandboxImage: "registry.k8s.io/pause:3.6", CNIBinDir: "/nowhere", SystemdCgroup: true}, got); d != "" {
		t.Error(d)
	}
	if !ParseDump(`disabled_plugins = ["cri"]`).CRIDisabled {
		t.Error("a CRI plugin that is disabled was not seen")
	}
}

func TestOnlyWhatDoesNotSuitIsReplaced(t *testing.T) {
	plugins := t.TempDir()
	if err := os.WriteFile(filepath.Join(plugins, "bridge"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	suits := Effective{SandboxImage: "any", CNIBinDir: plugins}
	for name, c := range map[string]struct {
		have Effective
		want Config
		says string
	}{
		"suits":         {suits, Config{CNIBinDir: "/usr/lib/cni"}, ""},
		"disabled":      {Effective{CRIDisabled: true}, Config{}, "disabled"},
		"cgroup driver": {suits, Config{SystemdCgroup: true}, "SystemdCgroup is false"},
		"no privilege":  {suits, Config{CNIBinDir: plugins, RestrictOOM: true}, "restrict_oom_score_adj"},
		"no plugins":    {Effective{CNIBinDir: "/nowhere"}, Config{CNIBinDir: plugins}, "/nowhere"},
	} {
		got := c.have.Fits(c.want)
		if (c.says == "") != (got == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

func TestOurConfigurationSuitsUs(t *testing.T) {
	c := Config{CNIBinDir: "/usr/lib/cni", SystemdCgroup: true, RestrictOOM: true}
	got := ParseDump(c.Text())
	if d := cmp.Diff(Effective{SandboxImage: Pause, CNIBinDir: "/usr/lib/cni", SystemdCgroup: true, RestrictOOM: true}, got); d != "" {
		t.Error(d)
	}
}

func archive(t *testing.T, dir, name, index string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for n, content := range map[string]string{"blobs/x": "x", "index.json": index} {
		if err := w.WriteHeader(&tar.Header{Name: n, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestArchivesSayWhatTheyHold(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, "proxy.tar", `{"manifests":[{"digest":"sha256:1","annotations":{"io.containerd.image.name":"sampan.io/proxy:v1"}}]}`)
	got, err := Archives(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Archive{{ID: "proxy", File: filepath.Join(dir, "proxy.tar"), Name: "sampan.io/proxy:v1", Digest: "sha256:1"}}, got); d != "" {
		t.Error(d)
	}
	archive(t, dir, "bad.tar", `{"manifests":[]}`)
	if _, err := Archives(dir); err == nil || !strings.Contains(err.Error(), "bad.tar") {
		t.Errorf("an archive without a name: %v", err)
	}
}
