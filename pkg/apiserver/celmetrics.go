package apiserver

import (
	"slices"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
)

// celTimes are what the library that compiles and evaluates the rules of custom resources' schemas measures of that. It
// counts in the registry of its own process-wide metrics, of which nothing else has a meaning here.
func celTimes() ([]*dto.MetricFamily, error) {
	all, err := legacyregistry.DefaultGatherer.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		switch f.GetName() {
		case "apiserver_cel_compilation_duration_seconds":
			*f.Help = "How long the rules in a schema took to be compiled, in seconds."
		case "apiserver_cel_evaluation_duration_seconds":
			*f.Help = "How long the rules in a schema took to be evaluated, in seconds."
		default:
			return true
		}
		return false
	}), err
}
