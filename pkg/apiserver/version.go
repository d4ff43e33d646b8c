package apiserver

import (
	"net/http"
	"runtime"

	"k8s.io/apimachinery/pkg/version"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
)

// gitVersion is the version of the API contract that is served: tools compare themselves with it.
const gitVersion = "v1.36.2"

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	endpoint.WriteJSON(w, http.StatusOK, version.Info{
		Major: "1", Minor: "36", EmulationMajor: "1", EmulationMinor: "36", MinCompatibilityMajor: "1", MinCompatibilityMinor: "35",
		GitVersion: gitVersion, GitTreeState: "clean", GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	})
}
