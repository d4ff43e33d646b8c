package apiserver

import (
	"net/http"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/daemon"
)

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	endpoint.WriteJSON(w, http.StatusOK, daemon.VersionInfo())
}
