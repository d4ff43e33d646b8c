package apiserver

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// zpage is a page about the process itself: text for people, and an object of config.k8s.io for who names its kind in
// the Accept header.
type zpage struct {
	kind   string
	fields func() map[string]any
	text   func() string
}

// name is that of the path.
func (p zpage) name() string { return strings.ToLower(p.kind) }

// zpages are the pages about this process; paths are all that it serves.
func (s *Server) zpages(paths []string) []zpage {
	folders := debugFolders(paths)
	flags := flagValues(s.cfg.flags) // once: visiting flags sorts them where they are
	return []zpage{
		{"Flagz", func() map[string]any { return map[string]any{"flags": flags} }, func() string {
			var out strings.Builder
			for _, name := range slices.Sorted(maps.Keys(flags)) {
				fmt.Fprintf(&out, "%s=%s\n", name, flags[name])
			}
			return out.String()
		}},
		{"Statusz", func() map[string]any { return s.status(folders) }, func() string { return s.statusText(folders) }},
	}
}

// flagValues are the flags as they are set.
func flagValues(fs *pflag.FlagSet) map[string]any {
	values := map[string]any{}
	if fs != nil {
		fs.VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	}
	return values
}

// debugFolders are the first parts of paths, but for those that belong to the API.
func debugFolders(paths []string) (out []string) {
	api := []string{"", "api", "apis", "openid", "openapi", ".well-known"}
	for _, p := range paths {
		first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
		if !slices.Contains(api, first) {
			out = append(out, "/"+first)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *Server) status(folders []string) map[string]any {
	v := daemon.VersionInfo()
	paths := make([]any, len(folders))
	for i, f := range folders {
		paths[i] = f
	}
	return map[string]any{
		"startTime": s.begun.UTC().Format(time.RFC3339), "uptimeSeconds": int64(s.clock.Since(s.begun).Seconds()), "goVersion": v.GoVersion,
		"binaryVersion": v.Major + "." + v.Minor, "emulationVersion": v.EmulationMajor + "." + v.EmulationMinor, "paths": paths,
	}
}

func (s *Server) statusText(folders []string) string {
	v, up := daemon.VersionInfo(), s.clock.Since(s.begun)
	return fmt.Sprintf("\nStarted: %s\nUp: %d hr %02d min %02d sec\nGo version: %s\nBinary version: %s.%s\nEmulation version: %s.%s\nPaths: %s\n",
		s.begun.UTC().Format(time.UnixDate), int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60,
		v.GoVersion, v.Major, v.Minor, v.EmulationMajor, v.EmulationMinor, strings.Join(folders, " "))
}

// ServeHTTP answers with the page.
func (p zpage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := ""
	media, _, ok := endpoint.Preferred(cmp.Or(strings.TrimSpace(r.Header.Get("Accept")), "text/plain"), []string{"application/json", "application/yaml", "text/plain"}, func(media string, params map[string]string) bool {
		if media == "text/plain" {
			return params["as"] == "" && params["g"] == "" && params["v"] == ""
		}
		version = params["v"]
		return params["as"] == p.kind && params["g"] == "config.k8s.io" && (version == "v1beta1" || version == "v1alpha1")
	})
	switch {
	case !ok:
		endpoint.Fail(w, r, endpoint.NotAcceptable("application/json", "application/yaml", "text/plain"))
		return
	case media == "text/plain":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "\napiserver %s\nWarning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.\n%s", p.name(), p.text())
		return
	case version == "v1alpha1":
		w.Header().Set("Warning", `299 - "This version of the `+p.name()+` endpoint is deprecated. Please use a newer version."`)
	}
	o := &unstructured.Unstructured{Object: p.fields()}
	o.SetAPIVersion("config.k8s.io/" + version)
	o.SetKind(p.kind)
	o.SetName("apiserver")
	endpoint.WriteTyped(w, r, media, ";g=config.k8s.io;v="+version+";as="+p.kind, o)
}
