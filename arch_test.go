package sampan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/sampan-project/sampan/"

// ban forbids imports of `what` (a path or, ending in "/...", a tree) in the packages under `in`, except
// under `but`. Paths of this module are relative to its root.
type ban struct {
	in, what string
	but      []string
	reason   string
}

var daemons = []string{"pkg/apiserver", "pkg/scheduler", "pkg/controllers", "pkg/kubelet", "pkg/proxy"}

var bans = []ban{
	{"", "k8s.io/kubernetes/...", nil, "it is the system that this project writes anew"},
	{"", "k8s.io/kube-aggregator/...", nil, "it is the system that this project writes anew"},
	{"", "k8s.io/endpointslice/...", nil, "it is the system that this project writes anew"},
	{"", "k8s.io/controller-manager/...", nil, "it is the system that this project writes anew"},
	{"", "sigs.k8s.io/controller-runtime/...", nil, "there is one work-queue loop, pkg/controller"},
	{"", "k8s.io/apiserver/...", []string{"k8s.io/apiserver/pkg/cel/..."}, "of k8s.io/apiserver only the CEL libraries are leaves"},
	{"", "k8s.io/apiextensions-apiserver/...", []string{
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions",
		"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/...",
	}, "of apiextensions-apiserver only types and structural schemas are leaves"},
	{"", "go.etcd.io/...", []string{"in:pkg/apiserver/storage"}, "only the storage holds an etcd client"},
	{"", "k8s.io/cri-api/...", []string{"in:pkg/kubelet/cri", "in:test"}, "the container runtime is reached through one adapter"},
	{"", "github.com/vishvananda/netlink/...", []string{"in:pkg/proxy/ipvs", "in:pkg/proxy/nftables", "in:pkg/proxy/conntrack", "in:pkg/bootstrap/host", "in:test"}, "the kernel is reached through narrow adapters"},
	{"", "github.com/cloudflare/ipvs/...", []string{"in:pkg/proxy/ipvs", "in:test"}, "IPVS is one adapter of the proxy"},
	{"", "sigs.k8s.io/knftables/...", []string{"in:pkg/proxy/nftables"}, "nftables is one adapter of the proxy"},
	{"pkg/apiserver/resources", "pkg/apiserver/endpoint/...", nil, "a resource declares; it does not serve"},
	{"pkg/apiserver/resource", "pkg/apiserver/endpoint/...", nil, "rules do not know HTTP"},
	{"pkg/apiserver/watchcache", "pkg/apiserver/resource/...", nil, "the cache holds bytes and objects, not rules"},
	{"pkg/apiserver/storage", "pkg/apiserver/watchcache/...", nil, "storage is the lowest floor"},
	{"pkg/daemon", "pkg/apiserver/...", nil, "the common frame knows no daemon"},
	{"pkg/controller", "pkg/controllers/...", nil, "the loop knows no controller"},
}

// imports lists, for each package folder of the module, the imports of its files, tests left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || name == "bin" || name == "out" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		for _, i := range f.Imports {
			found[dir] = append(found[dir], strings.TrimPrefix(strings.Trim(i.Path.Value, `"`), module))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func under(p, tree string) bool {
	tree, deep := strings.CutSuffix(tree, "/...")
	return p == tree || deep && strings.HasPrefix(p, tree+"/")
}

func (b ban) excepted(dir, imported string) bool {
	for _, e := range b.but {
		if in, ok := strings.CutPrefix(e, "in:"); ok {
			if under(dir, in+"/...") {
				return true
			}
		} else if under(imported, e) {
			return true
		}
	}
	return false
}

func TestImportsRespectTheBans(t *testing.T) {
	for dir, list := range imports(t) {
		if strings.HasPrefix(dir, "build/") {
			continue // modules and tools of their own
		}
		for _, imported := range list {
			for _, b := range bans {
				if (b.in == "" || under(dir, b.in+"/...")) && under(imported, b.what) && !b.excepted(dir, imported) {
					t.Errorf("%s imports %s: %s", dir, imported, b.reason)
				}
			}
		}
	}
}

func TestDaemonsKnowEachOtherOnlyThroughTheAPI(t *testing.T) {
	for dir, list := range imports(t) {
		for _, own := range daemons {
			if !under(dir, own+"/...") {
				continue
			}
			for _, imported := range list {
				for _, other := range daemons {
					if other != own && under(imported, other+"/...") {
						t.Errorf("%s imports %s: daemons meet only at the apiserver's door", dir, imported)
					}
				}
			}
		}
	}
}

// Leaves are written and read one at a time; an import between them would tie two together.
func TestLeavesDoNotImportEachOther(t *testing.T) {
	for dir, list := range imports(t) {
		parent := path.Dir(dir)
		if parent != "pkg/controllers" {
			continue
		}
		for _, imported := range list {
			if path.Dir(imported) == parent {
				t.Errorf("%s imports its sibling %s: share through a package below both", dir, imported)
			}
		}
	}
}

func TestNamesAndInitFunctions(t *testing.T) {
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "out", "testdata":
				return filepath.SkipDir
			case "util", "utils", "common", "helpers", "helper", "misc":
				t.Errorf("%s: name a package for what it does", p)
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init() registers in silence; put it in a list that is called", p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
