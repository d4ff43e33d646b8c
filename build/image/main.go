// Command image packs programs as container images, without Docker and without a registry: each image is an
// archive that containerd, Podman and Docker can import. images.go lists the images.
//
//	image -bin bin -o out/images             pack all images that a cluster needs
//	image -bin bin -o out/images web test    pack these two
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

func main() {
	opts := options{names: renames{}}
	flag.StringVar(&opts.bin, "bin", "bin", "directory that holds the built programs")
	flag.StringVar(&opts.out, "o", "out/images", "directory to write the archives into")
	flag.StringVar(&opts.version, "version", "v0.0.0", "version that the images of this project's own programs are tagged with")
	flag.StringVar(&opts.arch, "arch", runtime.GOARCH, "architecture that the programs were built for")
	flag.Var(opts.names, "name", "IMAGE=NAME: give an image another name, as in pause=registry.k8s.io/pause:3.6; may be repeated")
	flag.Parse()
	if err := run(opts, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

type options struct {
	bin, out, version, arch string
	names                   renames
}

// renames maps an image of the list to the name that its user wants it to have.
type renames map[string]string

func (r renames) String() string { return "" }

func (r renames) Set(s string) error {
	image, reference, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("want IMAGE=NAME, not %q", s)
	}
	if _, err := name.NewTag(reference, name.StrictValidation); err != nil {
		return fmt.Errorf("%w: write it as registry/name:tag", err)
	}
	r[image] = reference
	return nil
}

// run packs the wanted images, or all that a cluster needs if none is named.
func run(opts options, wanted []string) error {
	list := images(opts.version)
	chosen, err := choose(list, wanted)
	if err != nil {
		return err
	}
	for image := range opts.names {
		if _, err := choose(list, []string{image}); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(opts.out, 0o755); err != nil {
		return err
	}
	for _, i := range chosen {
		if renamed, ok := opts.names[i.ID]; ok {
			i.Name = renamed
		}
		if err := pack(i, opts); err != nil {
			return fmt.Errorf("packing %s: %w", i.ID, err)
		}
	}
	return nil
}

func choose(list []Image, wanted []string) ([]Image, error) {
	var ids []string
	for _, i := range list {
		ids = append(ids, i.ID)
	}
	for _, w := range wanted {
		if !slices.Contains(ids, w) {
			return nil, fmt.Errorf("there is no image %q: choose from %s", w, strings.Join(ids, ", "))
		}
	}
	var chosen []Image
	for _, i := range list {
		if slices.Contains(wanted, i.ID) || len(wanted) == 0 && !i.OnlyForTests {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}

// pack writes one image's archive. It appears whole or not at all, because other programs may be reading it.
func pack(i Image, opts options) error {
	files, err := resolve(i, opts.bin)
	if err != nil {
		return err
	}
	layer, err := newLayer(files)
	if err != nil {
		return err
	}
	built, err := assemble(i, opts.arch, layer)
	if err != nil {
		return err
	}
	target := filepath.Join(opts.out, i.ID+".tar")
	temporary, err := os.CreateTemp(opts.out, "."+i.ID+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // after the rename there is nothing to remove
	if err := writeArchive(temporary, i.Name, built); err != nil {
		temporary.Close()
		return fmt.Errorf("writing %s: %w", target, err)
	}
	if err := temporary.Chmod(0o644); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), target)
}
