package apiserver

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// profilingPath is where profiles of the process are read, as kube-apiserver's: with the rights to that
// path, which only administrators have.
const profilingPath = "/debug/pprof"

// profiling serves the process's profiles.
func profiling(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, profilingPath+"/") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
