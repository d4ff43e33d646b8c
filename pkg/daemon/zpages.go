package daemon

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"
)

const (
	mediaText = "text/plain"
	mediaJSON = "application/json"
	mediaYAML = "application/yaml"
)

// ZPage is a page about the process itself: text for people, and an object of config.k8s.io for who names its kind in
// the Accept header.
type ZPage struct {
	Kind      string
	component string
	fields    func() map[string]any
	text      func() string
}

// ZPages are the pages about this process: the flags as they are set now, and since when it runs, serving the paths.
func ZPages(component string, flags *pflag.FlagSet, c clock.PassiveClock, paths []string) []ZPage {
	values, begun := flagValues(flags), c.Now() // flags are visited once: that sorts them where they are
	return []ZPage{
		{"Flagz", component, func() map[string]any { return map[string]any{"flags": values} }, func() string {
			var out strings.Builder
			for _, name := range slices.Sorted(maps.Keys(values)) {
				fmt.Fprintf(&out, "%s=%s\n", name, values[name])
			}
			return out.String()
		}},
		{"Statusz", component, func() map[string]any {
			return status(begun, c.Since(begun), paths)
		}, func() string {
			return statusText(begun, c.Since(begun), paths)
		}},
	}
}

func flagValues(fs *pflag.FlagSet) map[string]any {
	values := map[string]any{}
	if fs != nil {
		fs.VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	}
	return values
}

func status(begun time.Time, up time.Duration, folders []string) map[string]any {
	v := VersionInfo()
	paths := make([]any, len(folders))
	for i, f := range folders {
		paths[i] = f
	}
	return map[string]any{
		"startTime": begun.UTC().Format(time.RFC3339), "uptimeSeconds": int64(up.Seconds()), "goVersion": v.GoVersion,
		"binaryVersion": v.Major + "." + v.Minor, "emulationVersion": v.EmulationMajor + "." + v.EmulationMinor, "paths": paths,
	}
}

func statusText(begun time.Time, up time.Duration, paths []string) string {
	v := VersionInfo()
	return fmt.Sprintf("\nStarted: %s\nUp: %d hr %02d min %02d sec\n"+
		"Go version: %s\nBinary version: %s.%s\nEmulation version: %s.%s\nPaths: %s\n",
		begun.UTC().Format(time.UnixDate), int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60,
		v.GoVersion, v.Major, v.Minor, v.EmulationMajor, v.EmulationMinor, strings.Join(paths, " "))
}

// Name is that of the path.
func (p ZPage) Name() string { return strings.ToLower(p.Kind) }

// Choose finds what an Accept header prefers: text, or the page's kind, in a version that there is, as JSON or YAML.
func (p ZPage) Choose(accept string) (media, version string, ok bool) {
	for _, c := range goautoneg.ParseAccept(cmp.Or(strings.TrimSpace(accept), mediaText)) {
		for _, media := range []string{mediaJSON, mediaYAML, mediaText} {
			kind, subtype, _ := strings.Cut(media, "/")
			if c.Type != kind && c.Type != "*" || c.SubType != subtype && c.SubType != "*" ||
				c.Params["sv"] != "" || c.Params["stream"] != "" {
				continue
			}
			as, group, version := c.Params["as"], c.Params["g"], c.Params["v"]
			if media == mediaText && as+group+version == "" ||
				media != mediaText && as == p.Kind && group == "config.k8s.io" && (version == "v1beta1" || version == "v1alpha1") {
				return media, version, true
			}
		}
	}
	return "", "", false
}

// Object is the page in a version, as its JSON says it, and the parameters of its media type.
func (p ZPage) Object(version string) (object map[string]any, params string) {
	object = p.fields()
	object["kind"], object["apiVersion"] = p.Kind, "config.k8s.io/"+version
	object["metadata"] = map[string]any{"name": p.component}
	return object, ";g=config.k8s.io;v=" + version + ";as=" + p.Kind
}

// Warn says in the header where a version is on its way out.
func (p ZPage) Warn(h http.Header, version string) {
	if version == "v1alpha1" {
		h.Set("Warning", `299 - "This version of the `+p.Name()+` endpoint is deprecated. Please use a newer version."`)
	}
}

// ServeHTTP answers with the page.
func (p ZPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media, version, ok := p.Choose(r.Header.Get("Accept"))
	if media == mediaText {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "\n%s %s\nWarning: This endpoint is not meant to be machine parseable, has no formatting "+
			"compatibility guarantees and is for debugging purposes only.\n%s", p.component, p.Name(), p.text())
		return
	}
	if !ok {
		refuse(w, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
			Message: "only the following media types are accepted: " + strings.Join([]string{mediaJSON, mediaYAML, mediaText}, ", "),
		}})
		return
	}
	encode := func(o any) ([]byte, error) { b, err := json.Marshal(o); return append(b, '\n'), err }
	if media == mediaYAML {
		encode = yaml.Marshal
	}
	p.Warn(w.Header(), version)
	object, params := p.Object(version)
	body, err := encode(object)
	if err != nil {
		http.Error(w, "encoding the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", media+params)
	_, _ = w.Write(body) // the client has gone where this fails
}
