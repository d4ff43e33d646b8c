package sampan

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
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
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1", // in which etcd holds definitions
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions",
		"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/...",
	}, "of apiextensions-apiserver only types and structural schemas are leaves"},
	{"", "go.etcd.io/...", []string{"in:pkg/apiserver/storage", "in:test/watchcheck", "in:test/bench/limits"}, "only the storage holds an etcd client; who judges watches reads etcd's history without it, and who measures limits puts without it"},
	{"", "go.etcd.io/etcd/server/v3/embed/...", nil, "it brings gateways, and templates, for which the linker keeps every exported method"},
	{"test/watchcheck", "pkg/...", nil, "who judges the server shares no code with it"},
	{"", "k8s.io/cri-api/...", []string{"in:pkg/kubelet/cri", "in:test/bench/cribench"}, "the container runtime is reached through one adapter"},
	{"", "github.com/vishvananda/netlink/...", []string{"in:pkg/proxy/ipvs", "in:pkg/proxy/conntrack", "in:pkg/bootstrap/host"}, "the kernel is reached through narrow adapters"},
	{"", "github.com/cloudflare/ipvs/...", []string{"in:pkg/proxy/ipvs"}, "IPVS is one adapter of the proxy"},
	{"", "sigs.k8s.io/knftables/...", []string{"in:pkg/proxy/nftables"}, "nftables is one adapter of the proxy"},
	{"pkg/apiserver/resources", "pkg/apiserver/endpoint/...", nil, "a resource declares; it does not serve"},
	{"pkg/apiserver/resource", "pkg/apiserver/endpoint/...", nil, "rules do not know HTTP"},
	{"pkg/apiserver/watchcache", "pkg/apiserver/resource/...", nil, "the cache holds bytes and objects, not rules"},
	{"pkg/apiserver/storage", "pkg/apiserver/watchcache/...", nil, "storage is the lowest floor"},
	{"pkg/apiserver/allocation", "pkg/apiserver/endpoint/...", nil, "what gives addresses does not serve"},
	{"pkg/apiserver/advertise", "net/http/...", nil, "the apiserver's own Service is an object like others, written without HTTP"},
	{"pkg/apiserver/h2", "pkg/...", nil, "a protocol knows nothing of what is served"},
	{"", "golang.org/x/net/http2/...", []string{"in:pkg/apiserver/h2", "in:pkg/apiserver/storage/rpc"}, "everything else speaks HTTP/2 through net/http or gRPC"},
	{"pkg/apiserver/stream", "pkg/apiserver/endpoint/...", nil, "connections to pods are no verbs on objects"},
	{"pkg/apiserver/openapi", "pkg/apiserver/admission/...", nil, "what is served is described, not decided"},
	{"pkg/controller", "pkg/controllers/...", nil, "the loop knows no controller"},
	{"pkg/bootstrap", "pkg/proxy/...", []string{"pkg/proxy"}, "what makes clusters knows the proxy by its command's configuration alone"},
	{"pkg/bootstrap", "pkg/kubelet/...", []string{"pkg/kubelet/cri"}, "what makes clusters starts the kubelet as a program; only the way to the runtime is shared"},
	{"pkg/bootstrap", "pkg/apiserver/...", nil, "what makes clusters starts daemons as programs"},
	{"pkg/bootstrap", "pkg/scheduler/...", nil, "what makes clusters starts daemons as programs"},
	{"pkg/bootstrap", "pkg/controllers/...", nil, "what makes clusters starts daemons as programs"},
	{"pkg/bootstrap", "pkg/ctl/...", nil, "the command line stands above the phases"},
	{"pkg/kubelet/pod", "pkg/kubelet/...", nil, "what is done for a pod is decided from values, and carried out elsewhere"},
	{"pkg/kubelet/pod", "k8s.io/client-go/...", nil, "what is done for a pod is decided without asking anyone"},
	{"pkg/kubelet/pod", "google.golang.org/grpc/...", nil, "what is done for a pod is decided without asking anyone"},
	{"pkg/kubelet/pod", "os/...", nil, "what is done for a pod is decided without I/O"},
	{"pkg/kubelet/pod", "net/...", nil, "what is done for a pod is decided without I/O"},
	{"pkg/proxy/model", "k8s.io/client-go/...", nil, "rules are values, made of values"},
	{"pkg/proxy/model", "os/...", nil, "rules are values, made without I/O"},
}

// foundations are the packages that all daemons stand on, and that know none of them.
var foundations = []string{"pkg/daemon", "pkg/streaming", "pkg/query", "pkg/quota", "pkg/defaults", "pkg/podrefs", "pkg/pki", "pkg/accounttoken", "pkg/celtypes", "pkg/controller", "api", "manifests"}

// family is a folder of parts that are written and read one at a time: an import between them would tie two
// together. Contracts are those that every part may import; but, of one part to another, needs a reason.
type family struct {
	parent    string
	contracts []string
	but       map[[2]string]string
}

var families = []family{
	{"pkg/controllers", nil, nil},
	{"pkg/apiserver/resources", nil, nil},
	{"pkg/proxy", []string{"model"}, nil},
	{"pkg/kubelet", []string{"cri", "object", "pod", "downward"}, map[[2]string]string{
		{"hook", "probe"}:         "a hook asks a container over HTTP in the way that probes do",
		{"runtime", "image"}:      "a container is made from the image that was pulled for it",
		{"server", "logs"}:        "the port reads containers' logs",
		{"server", "stats"}:       "the port answers measurements",
		{"volume", "environment"}: "environment files lie on the pod's volumes",
	}},
	{"pkg/bootstrap", []string{"layout", "settings", "record", "host", "render"}, map[[2]string]string{
		{"kubeconfig", "certs"}: "a kubeconfig holds a certificate of the cluster's authority",
		{"token", "certs"}:      "a token vouches for the cluster's authority",
	}},
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

// Templates call methods by names that are known only at run time: the linker then keeps every exported method there is.
func TestDaemonsHoldNoTemplates(t *testing.T) {
	list := []string{"list", "-deps", "-tags=grpcnotrace"}
	for _, d := range daemons {
		name := path.Base(d)
		if name == "controllers" {
			name = "controller-manager"
		}
		list = append(list, "./cmd/"+name)
	}
	out, err := exec.CommandContext(t.Context(), "go", list...).Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	for _, p := range []string{"html/template", "golang.org/x/net/trace"} {
		if slices.Contains(packages, p) {
			t.Errorf("a daemon links %s (go list -deps says which, and through what)", p)
		}
	}
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

func TestPartsOfAFamilyKnowOnlyItsContracts(t *testing.T) {
	const above = "pkg/controllers/manager" // runs the list that pkg/controllers is
	used := map[[2]string]bool{}
	for dir, list := range imports(t) {
		for _, f := range families {
			part, inside := strings.CutPrefix(dir, f.parent+"/")
			if !inside {
				continue
			}
			part, _, _ = strings.Cut(part, "/") // what lies deeper belongs to the part
			for _, imported := range list {
				if imported == f.parent && dir != above {
					t.Errorf("%s imports %s, which puts the parts together: imports point down", dir, imported)
				}
				other, inside := strings.CutPrefix(imported, f.parent+"/")
				other, _, _ = strings.Cut(other, "/")
				if !inside || other == part || slices.Contains(f.contracts, other) {
					continue
				}
				if edge := [2]string{part, other}; f.but[edge] == "" {
					t.Errorf("%s imports its sibling %s: share through a package below both", dir, imported)
				} else {
					used[[2]string{f.parent + "/" + part, other}] = true
				}
			}
		}
	}
	for _, f := range families {
		for edge := range f.but {
			if !used[[2]string{f.parent + "/" + edge[0], edge[1]}] {
				t.Errorf("%s/%s no longer imports %s: take the exception away", f.parent, edge[0], edge[1])
			}
		}
	}
}

func TestWhatDaemonsStandOnKnowsNoDaemon(t *testing.T) {
	for dir, list := range imports(t) {
		for _, imported := range list {
			below := slices.ContainsFunc(foundations, func(f string) bool { return under(dir, f+"/...") })
			if below && slices.ContainsFunc(daemons, func(d string) bool { return under(imported, d+"/...") }) {
				t.Errorf("%s imports %s: what is shared knows none of those who share it", dir, imported)
			}
		}
	}
}

// An exception that nothing needs is a hole that the next breach walks through. What is excepted of other
// modules is the plan's to say: it names their leaves.
func TestExceptionsAreNeeded(t *testing.T) {
	all := imports(t)
	for _, b := range bans {
		for _, e := range b.but {
			if strings.HasPrefix(e, "k8s.io/") {
				continue
			}
			only := ban{but: []string{e}}
			needed := false
			for dir, list := range all {
				if b.in != "" && !under(dir, b.in+"/...") {
					continue
				}
				needed = needed || slices.ContainsFunc(list, func(i string) bool { return under(i, b.what) && only.excepted(dir, i) })
			}
			if !needed {
				t.Errorf("the ban on %s excepts %s, which nothing needs", b.what, e)
			}
		}
	}
}

// A package says what it is for, and an exported type, function or value what it is. Methods that a contract
// describes need no words of their own.
func TestPackagesAndExportedNamesAreDocumented(t *testing.T) {
	documented := map[string]bool{}
	everyFile(t, func(p string, f *ast.File) {
		if strings.HasSuffix(p, "_test.go") {
			return
		}
		dir := path.Dir(p)
		documented[dir] = documented[dir] || f.Doc != nil
		for _, name := range undocumented(f) {
			t.Errorf("%s: %s is exported and has no comment", p, name)
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: say what it is for, and what it must not know", dir)
		}
	}
}

// undocumented are the exported names of a file, methods left out, that nothing is said about.
func undocumented(f *ast.File) (names []string) {
	add := func(n *ast.Ident, docs ...*ast.CommentGroup) {
		if n.IsExported() && !slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil }) {
			names = append(names, n.Name)
		}
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					add(s.Name, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						add(n, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return names
}

func TestFilesCanBeReadAtOneSitting(t *testing.T) {
	const most = 800
	everyFile(t, func(p string, _ *ast.File) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > most {
			t.Errorf("%s has %d lines: split it by concept before it passes %d", p, n, most)
		}
	})
}

// A test that cannot run here must fail: what is skipped in silence is believed to hold.
func TestNoTestIsSkipped(t *testing.T) {
	everyFile(t, func(p string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Skip" || s.Sel.Name == "Skipf" || s.Sel.Name == "SkipNow") {
				if on, ok := s.X.(*ast.Ident); ok && (on.Name == "t" || on.Name == "b") {
					t.Errorf("%s calls %s.%s: fail, and say what is missing", p, on.Name, s.Sel.Name)
				}
			}
			return true
		})
	})
}

// everyFile parses each Go file of the module, tests and tools of other modules included.
func everyFile(t *testing.T, look func(p string, f *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "out", "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		look(filepath.ToSlash(p), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackagesAreNamedForWhatTheyDo(t *testing.T) {
	everyFile(t, func(p string, _ *ast.File) {
		switch path.Base(path.Dir(p)) {
		case "util", "utils", "common", "helpers", "helper", "misc":
			t.Errorf("%s: name a package for what it does", p)
		}
	})
}

func TestNothingRegistersItselfInSilence(t *testing.T) {
	everyFile(t, func(p string, f *ast.File) {
		for _, decl := range f.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init() registers in silence; put it in a list that is called", p)
			}
		}
	})
}
