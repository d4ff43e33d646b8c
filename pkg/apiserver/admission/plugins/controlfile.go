package plugins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// control is the AdmissionConfiguration that --admission-control-config-file names.
type control struct {
	metav1.TypeMeta `json:",inline"`
	Plugins         []pluginPart `json:"plugins"`
}

// pluginPart is what is said to one plugin, here or in a file of its own.
type pluginPart struct {
	Name          string               `json:"name"`
	Path          string               `json:"path"` // from the folder of the file that says so
	Configuration runtime.RawExtension `json:"configuration"`
}

// controlVersions are those in which kube-apiserver reads the file.
var controlVersions = []schema.GroupVersion{
	{Group: "apiserver.config.k8s.io", Version: "v1"}, {Group: "apiserver.k8s.io", Version: "v1alpha1"},
}

// readControl reads the file, but none of those that it refers to: plugins that do not run need none.
func readControl(file string) (control, error) {
	var c control
	if file == "" {
		return c, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("unable to read admission control configuration from %q: %w", file, err)
	}
	strict, err := decode(data, &c, "AdmissionConfiguration", controlVersions...)
	if isOther(err) && isUnversioned(data) {
		return control{Plugins: []pluginPart{
			{Name: "ImagePolicyWebhook", Path: file}, {Name: "PodNodeSelector", Path: file},
		}}, nil
	}
	if err := errors.Join(append(strict, err)...); err != nil {
		return c, fmt.Errorf("admission control configuration %q: %w", file, err)
	}
	for i := range c.Plugins {
		if p := &c.Plugins[i]; p.Path != "" && !filepath.IsAbs(p.Path) {
			p.Path = filepath.Join(filepath.Dir(file), p.Path)
		}
	}
	return c, nil
}

// isUnversioned knows the two kinds of configuration that the flag named before there was an AdmissionConfiguration.
func isUnversioned(data []byte) bool {
	var fields map[string]any
	if yaml.Unmarshal(data, &fields) != nil {
		return false
	}
	_, images := fields["imagePolicy"]
	_, selectors := fields["podNodeSelectorPluginConfig"]
	return images || selectors
}

// of gives what is said to the plugin, nil for nothing. What the file itself says goes before another that it names.
func (c control) of(name string) ([]byte, error) {
	i := slices.IndexFunc(c.Plugins, func(p pluginPart) bool { return p.Name == name })
	switch {
	case i < 0:
		return nil, nil
	case c.Plugins[i].Configuration.Raw != nil:
		return c.Plugins[i].Configuration.Raw, nil
	case c.Plugins[i].Path != "":
		return os.ReadFile(c.Plugins[i].Path)
	}
	return nil, nil
}

// decode reads a configuration that must say that it is of the kind, in one of the versions. What it has too much is
// told apart: not every configuration is refused for that.
func decode(data []byte, into any, kind string, versions ...schema.GroupVersion) (strict []error, err error) {
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, err
	}
	var is metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &is); err != nil {
		return nil, err
	}
	switch gvk := is.GroupVersionKind(); {
	case is.Kind == "":
		return nil, runtime.NewMissingKindErr(string(data))
	case is.APIVersion == "":
		return nil, runtime.NewMissingVersionErr(string(data))
	case is.Kind != kind || !slices.Contains(versions, gvk.GroupVersion()):
		return nil, runtime.NewNotRegisteredErrForKind("admission configuration", gvk)
	}
	if _, err := yaml.YAMLToJSONStrict(data); err != nil {
		strict = append(strict, err)
	}
	more, err := kjson.UnmarshalStrict(text, into)
	return append(strict, more...), err
}

// isOther says whether decode found something else than it was to read.
func isOther(err error) bool {
	return runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) || runtime.IsNotRegisteredError(err)
}
