package daemon

import (
	"runtime"

	"k8s.io/apimachinery/pkg/version"
)

// Version is the version of the API contract that all daemons keep: tools compare themselves with it.
const Version = "v1.36.2"

// VersionInfo is what /version answers, and --version=raw.
func VersionInfo() version.Info {
	return version.Info{
		Major: "1", Minor: "36", EmulationMajor: "1", EmulationMinor: "36", MinCompatibilityMajor: "1", MinCompatibilityMinor: "35",
		GitVersion: Version, GitTreeState: "clean", GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}
