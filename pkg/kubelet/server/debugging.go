package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// debugging are the paths that enableDebuggingHandlers switches off.
var debugging = []string{
	"/run/", "/exec/", "/attach/", "/portForward/", "/containerLogs/", "/runningpods/", daemon.ProfilesPath + "/", "/logs/",
}

// disabled answers where a path was switched off.
func disabled(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, what, http.StatusMethodNotAllowed)
	}
}

// profiles serves the process's profiles, and unlike other daemons its command line too.
func (s *Server) profiles(mux *http.ServeMux) {
	if !s.cfg.Profiling {
		mux.HandleFunc(daemon.ProfilesPath+"/", disabled("profiling endpoint is disabled."))
		return
	}
	mux.HandleFunc("GET "+daemon.ProfilesPath+"/", daemon.Profiles)
	mux.HandleFunc("GET "+daemon.ProfilesPath+"/cmdline", pprof.Cmdline)
}
