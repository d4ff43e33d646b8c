package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// programs writes files that stand for built programs, with the given time.
func programs(t *testing.T, when time.Time, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		file := filepath.Join(dir, n)
		if err := errors.Join(os.WriteFile(file, []byte("program "+n), 0o700), os.Chtimes(file, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestListedImagesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range images("v1.2.3") {
		if seen[i.ID] || seen[i.Name] {
			t.Errorf("%s: the ID or the name is another image's", i.ID)
		}
		seen[i.ID], seen[i.Name] = true, true
		if _, err := name.NewTag(i.Name, name.StrictValidation); err != nil {
			t.Error(err)
		}
		if len(i.Entrypoint) == 0 {
			continue
		}
		if !slices.ContainsFunc(i.Files, func(f File) bool { return f.To == i.Entrypoint[0] && f.From != "" }) {
			t.Errorf("%s starts %s, which is not in it", i.ID, i.Entrypoint[0])
		}
	}
}

func TestSameProgramsMakeTheSameArchive(t *testing.T) {
	var archives [2][]byte
	for n := range archives {
		out := t.TempDir()
		bin := programs(t, time.Unix(int64(n*1000), 0), "scheduler")
		if err := run(options{bin: bin, out: out, version: "v1.2.3", arch: "amd64"}, []string{"scheduler"}); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[n], err = os.ReadFile(filepath.Join(out, "scheduler.tar")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
}

// entries lists what is in the only layer of an image: name, type, mode and what it holds or points to.
func entries(t *testing.T, image v1.Image) []string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, error %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var list []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s: time %v, owner %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
		}
		list = append(list, fmt.Sprintf("%s %o %s%s", h.Name, h.Mode, body, h.Linkname))
	}
}

func TestArchiveHoldsTheDeclaredImage(t *testing.T) {
	bin, out := programs(t, epoch, "web"), t.TempDir()
	i := Image{
		ID: "example", Name: "example.org/example:v1", Entrypoint: []string{"/app/web"}, Cmd: []string{"-v"}, User: "7:8", Ports: []string{"53/udp"},
		Files: []File{{From: "web", To: "/app/web"}, {Link: "web", To: "/app/link", Mode: 0o777}, {To: "/tmp", Folder: true, Mode: 0o1777}},
	}
	if err := pack(i, options{bin: bin, out: out, arch: "arm64"}); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(i.Name)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(filepath.Join(out, "example.tar"), &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	want := []string{"app/ 755 ", "app/link 777 web", "app/web 755 program web", "tmp/ 1777 "}
	if diff := cmp.Diff(want, entries(t, image)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{config.OS, config.Architecture, config.Config.Entrypoint, config.Config.Cmd, config.Config.User, config.Config.ExposedPorts}
	expected := []any{"linux", "arm64", i.Entrypoint, i.Cmd, i.User, map[string]struct{}{"53/udp": {}}}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestImageCanBeGivenAnotherName(t *testing.T) {
	names := renames{}
	if err := names.Set("pause=registry.k8s.io/pause:3.6"); err != nil {
		t.Fatal(err)
	}
	bin, out := programs(t, epoch, "pause"), t.TempDir()
	if err := run(options{bin: bin, out: out, arch: "amd64", names: names}, []string{"pause"}); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(filepath.Join(out, "pause.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"io.containerd.image.name":"registry.k8s.io/pause:3.6"`, `"RepoTags":["registry.k8s.io/pause:3.6"]`} {
		if !bytes.Contains(archive, []byte(want)) {
			t.Errorf("the archive lacks %s", want)
		}
	}
	for _, wrong := range []string{"pause", "pause=no tag", "pause=pause"} {
		if names.Set(wrong) == nil {
			t.Errorf("%q was accepted as a name", wrong)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		image Image
		want  string
	}{
		{Image{Files: []File{{From: "web", To: "/web"}}}, "make images"},
		{Image{Files: []File{{To: "web", Folder: true}}}, "not absolute"},
		{Image{Files: []File{{To: "/a", Link: "b"}, {To: "/a", Link: "c"}}}, "declared twice"},
		{Image{Files: []File{{To: "/a", Link: "b"}, {To: "/a/b", Link: "c"}}}, "which is a file"},
		{Image{HostPrograms: []HostProgram{{Name: "no-such-program", Package: "such-package"}}}, "apt install such-package"},
	} {
		if _, err := resolve(c.image, empty); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.image, err, c.want)
		}
	}
	if err := run(options{out: empty}, []string{"wep"}); err == nil || !strings.Contains(err.Error(), "choose from pause, ") {
		t.Errorf("error %v, want one that lists the images", err)
	}
}

func TestHostProgramComesWithWhatTheLoaderWouldLoad(t *testing.T) {
	shell, err := look("sh")
	if err != nil {
		t.Fatal(err)
	}
	found, err := closure(shell)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", shell).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, f := range found {
		got = append(got, path.Base(f))
	}
	for line := range strings.Lines(string(out)) {
		if file := strings.Fields(line)[0]; !strings.HasPrefix(file, "linux-vdso") {
			want = append(want, path.Base(file))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("%s needs %v, ldd says %v", shell, got, want)
	}
}

func TestHostProgramHasItsAliasesAndPlugins(t *testing.T) {
	shell, err := look("sh")
	if err != nil {
		t.Fatal(err)
	}
	own, err := closure(shell)
	if err != nil {
		t.Fatal(err)
	}
	if len(own) == 0 {
		t.Fatalf("%s is static: this test needs one that is not", shell)
	}
	// A folder with one plugin: a copy of a program, which loads what the program loads.
	dir := t.TempDir()
	plugin := filepath.Join(dir, "plugin.so")
	content, err := os.ReadFile(shell)
	if err := errors.Join(err, os.WriteFile(plugin, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	found, err := hostProgram(HostProgram{
		Name: "sh", To: "/bin/shell", Aliases: []string{"one"}, AskAliases: []string{"-c", "echo two; echo shell"}, Plugins: dir + "/*.so",
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := withFolders(found)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		if !e.folder {
			got = append(got, strings.TrimRight(e.to+" "+e.link, " "))
		}
	}
	want := append(slices.Clone(own), plugin, "/bin/shell", "/bin/one shell", "/bin/two shell")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestStaticProgramNeedsNothing(t *testing.T) {
	pause := filepath.Join(t.TempDir(), "pause")
	build := exec.CommandContext(t.Context(), "go", "run", "github.com/sampan-project/sampan/build/pause", "-arch", runtime.GOARCH, "-o", pause)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if found, err := closure(pause); err != nil || len(found) != 0 {
		t.Errorf("found %v, error %v", found, err)
	}
}

func TestLoaderConfigurationMayIncludeFiles(t *testing.T) {
	dir := t.TempDir()
	for file, content := range map[string]string{
		"ld.so.conf": "# comment\n/first\ninclude conf.d/*.conf\n", "conf.d/b.conf": "/third\n", "conf.d/a.conf": "/second # mine\n",
		"circle.conf": "include circle.conf\n",
	} {
		file = filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := configured(filepath.Join(dir, "ld.so.conf"), 0)
	if want := []string{"/first", "/second", "/third"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, error %v; want %v", got, err, want)
	}
	if _, err := configured(filepath.Join(dir, "circle.conf"), 0); err == nil {
		t.Error("a file that includes itself was accepted")
	}
}
