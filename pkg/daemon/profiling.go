package daemon

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// ProfilesPath is where profiles of a process are read, by who has the right to that path, which only administrators
// have.
const ProfilesPath = "/debug/pprof"

// Profiles serves the process's profiles, and as upstream's daemons but the kubelet not its command line.
func Profiles(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, ProfilesPath) {
	case "":
		http.Redirect(w, r, ProfilesPath+"/", http.StatusFound)
	case "/profile":
		pprof.Profile(w, r)
	case "/symbol":
		pprof.Symbol(w, r)
	case "/trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
