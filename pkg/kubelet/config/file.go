package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// readFiles reads the configuration file and merges the drop-ins of dir into it, in lexical order.
func readFiles(file, dir string) (*kubeletv1beta1.KubeletConfiguration, error) {
	merged := map[string]any{}
	var files []string
	if file != "" {
		files = append(files, file)
	}
	more, err := dropIns(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range append(files, more...) {
		fields, err := readFile(f)
		if err != nil {
			return nil, err
		}
		merge(merged, fields)
	}
	data, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("merging the configuration files: %w", err)
	}
	c := &kubeletv1beta1.KubeletConfiguration{}
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(data, c); err != nil {
		return nil, fmt.Errorf("merging the configuration files: %w", err)
	}
	return c, nil
}

// readFile decodes strictly: a field that does not exist is a mistake that nobody would notice.
func readFile(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the kubelet's configuration (name it with --config): %w", err)
	}
	wrong := func(err error) error {
		return fmt.Errorf("the kubelet's configuration %s is not usable: %s", file, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, wrong(err)
	}
	c := &kubeletv1beta1.KubeletConfiguration{}
	strict, err := sigsjson.UnmarshalStrict(asJSON, c)
	if err != nil {
		return nil, wrong(err)
	}
	if len(strict) > 0 {
		var all []string
		for _, e := range strict {
			all = append(all, e.Error())
		}
		return nil, wrong(fmt.Errorf("strict decoding error: %s", strings.Join(all, ", ")))
	}
	if c.Kind != "KubeletConfiguration" || c.APIVersion != kubeletv1beta1.SchemeGroupVersion.String() {
		return nil, wrong(fmt.Errorf("it is apiVersion %q, kind %q; write apiVersion: kubelet.config.k8s.io/v1beta1 and kind: KubeletConfiguration", c.APIVersion, c.Kind))
	}
	fields := map[string]any{}
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(asJSON, &fields); err != nil {
		return nil, wrong(err)
	}
	return fields, nil
}

func dropIns(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".conf" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the drop-ins of --config-dir: %w", err)
	}
	slices.Sort(files)
	return files, nil
}

// merge is JSON's merge patch (RFC 7396).
func merge(into, patch map[string]any) {
	for key, value := range patch {
		if value == nil {
			delete(into, key)
			continue
		}
		inner, ok := value.(map[string]any)
		if !ok {
			into[key] = value
			continue
		}
		old, ok := into[key].(map[string]any)
		if !ok {
			old = map[string]any{}
			into[key] = old
		}
		merge(old, inner)
	}
}
