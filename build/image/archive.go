package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of all files and images: what is built twice from the same files is the same, byte by byte.
var epoch = time.Unix(0, 0).UTC()

// newLayer packs files as a layer, in the order of their paths. It is not compressed: the archives are made
// to be imported on the machine that built them, where that would only cost time twice.
func newLayer(files []entry) (v1.Layer, error) {
	slices.SortFunc(files, func(a, b entry) int { return cmp.Compare(a.to, b.to) })
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, f := range files {
		if err := writeEntry(w, f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(content.Bytes(), types.OCIUncompressedLayer), nil
}

func writeEntry(w *tar.Writer, f entry) error {
	header := tar.Header{Name: strings.TrimPrefix(f.to, "/"), Mode: f.mode, ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case f.folder:
		header.Typeflag = tar.TypeDir
		header.Name += "/"
		return w.WriteHeader(&header)
	case f.link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
		return w.WriteHeader(&header)
	}
	content, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", f.from)
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	if _, err := io.Copy(w, content); err != nil {
		return fmt.Errorf("copying %s: %w", f.from, err)
	}
	return nil
}

// assemble puts the layer and the declaration together as an OCI image.
func assemble(i Image, arch string, layer v1.Layer) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{
		Layer: layer, MediaType: types.OCIUncompressedLayer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "build/image " + i.ID},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: epoch}
	config.Config = v1.Config{
		Entrypoint: i.Entrypoint, Cmd: i.Cmd, User: i.User, WorkingDir: "/",
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	for _, p := range i.Ports {
		if config.Config.ExposedPorts == nil {
			config.Config.ExposedPorts = map[string]struct{}{}
		}
		config.Config.ExposedPorts[p] = struct{}{}
	}
	return mutate.ConfigFile(image, config)
}

// blob is a part of an archive, found by what it holds.
type blob struct {
	hash    v1.Hash
	content []byte
}

func (b blob) path() string { return path.Join("blobs", b.hash.Algorithm, b.hash.Hex) }

func blobs(image v1.Image) (manifest, config, layer blob, err error) {
	if manifest.content, err = image.RawManifest(); err != nil {
		return
	}
	if manifest.hash, err = image.Digest(); err != nil {
		return
	}
	if config.content, err = image.RawConfigFile(); err != nil {
		return
	}
	if config.hash, err = image.ConfigName(); err != nil {
		return
	}
	layers, err := image.Layers()
	if err != nil {
		return
	}
	if layer.hash, err = layers[0].Digest(); err != nil {
		return
	}
	r, err := layers[0].Compressed()
	if err != nil {
		return
	}
	defer r.Close()
	layer.content, err = io.ReadAll(r)
	return
}

// writeArchive writes an image as an OCI layout in a tar file, with the file that Docker wants besides:
// containerd, Podman and Docker import it under its name.
func writeArchive(out io.Writer, name string, image v1.Image) error {
	manifest, config, layer, err := blobs(image)
	if err != nil {
		return err
	}
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: manifest.hash, Size: int64(len(manifest.content)),
			Annotations: map[string]string{
				"io.containerd.image.name":          name,
				"org.opencontainers.image.ref.name": name,
			},
		}},
	})
	if err != nil {
		return err
	}
	docker, err := json.Marshal([]map[string]any{
		{"Config": config.path(), "RepoTags": []string{name}, "Layers": []string{layer.path()}},
	})
	if err != nil {
		return err
	}
	parts := map[string][]byte{
		"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index, "manifest.json": docker,
		manifest.path(): manifest.content, config.path(): config.content, layer.path(): layer.content,
	}
	w := tar.NewWriter(out)
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		header := tar.Header{Name: p, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(parts[p])), ModTime: epoch, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := w.Write(parts[p]); err != nil {
			return err
		}
	}
	return w.Close()
}
