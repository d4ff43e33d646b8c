// Command openapi reads the Go sources of the API's types and writes their schemas as one compressed JSON
// document, which the apiserver embeds: a map from a definition's name (io.k8s.api.core.v1.Pod) to its
// OpenAPI v3 schema. What the Go types do not say at run time (descriptions, defaults, list types, enums)
// stands in comments, so the sources are read.
//
//	go run ./build/openapi -o pkg/apiserver/openapi/definitions.json.gz
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// root is a tree of packages to describe: a module, and the folders below it.
type root struct {
	module  string
	folders []string
}

// roots are all versions of the groups that are served, and the machinery that they use.
var roots = []root{
	{"k8s.io/apimachinery", []string{"pkg/apis/meta/v1", "pkg/api/resource", "pkg/util/intstr", "pkg/runtime", "pkg/types", "pkg/version"}},
	{"k8s.io/apiextensions-apiserver", []string{"pkg/apis/apiextensions/v1"}},
	{"github.com/sampan-project/sampan", []string{"api/apiregistration/v1"}},
	{"k8s.io/api", []string{
		"admissionregistration/v1", "apidiscovery/v2", "apps/v1", "authentication/v1", "authorization/v1", "autoscaling/v1",
		"autoscaling/v2", "batch/v1", "certificates/v1", "coordination/v1", "core/v1", "discovery/v1", "events/v1", "flowcontrol/v1",
		"networking/v1", "node/v1", "policy/v1", "rbac/v1", "resource/v1", "scheduling/v1", "storage/v1",
	}},
}

func main() {
	out := flag.String("o", "", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	if out == "" {
		return fmt.Errorf("name the file to write with -o")
	}
	all := newSources()
	for _, r := range roots {
		dir, err := moduleDir(r.module)
		if err != nil {
			return err
		}
		for _, f := range r.folders {
			if err := all.read(r.module+"/"+f, filepath.Join(dir, filepath.FromSlash(f))); err != nil {
				return err
			}
		}
	}
	definitions, err := all.definitions()
	if err != nil {
		return err
	}
	return write(out, definitions)
}

func moduleDir(module string) (string, error) {
	b, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("finding the sources of %s (is it in go.mod?): %w", module, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// write compresses with a fixed header, so that the same definitions give the same bytes.
func write(out string, definitions map[string]schema) error {
	plain, err := json.Marshal(definitions)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(plain); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}
