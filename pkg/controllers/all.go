// Package controllers is the list of controllers, each a package below, and their configuration.
package controllers

import (
	"fmt"
	"os"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controllers/deployment"
	"github.com/sampan-project/sampan/pkg/controllers/namespace"
	"github.com/sampan-project/sampan/pkg/controllers/replicaset"
	"github.com/sampan-project/sampan/pkg/controllers/replicationcontroller"
	"github.com/sampan-project/sampan/pkg/controllers/rootca"
	"github.com/sampan-project/sampan/pkg/controllers/serviceaccount"
)

// Descriptor is one line of the list.
type Descriptor struct {
	Name    string // in --controllers
	Alias   string // its name of before 1.28, which --controllers takes too
	Account string // service account in kube-system under --use-service-account-credentials
	Off     bool   // only on when --controllers names it
	// New makes the controller; nil where the configuration gives it nothing to do.
	New func(env *controller.Env, c *Config) (controller.Runner, error)
}

// plain fits a controller that only wants to know its number of workers.
func plain(flag string, make func(*controller.Env, int) (controller.Runner, error)) func(*controller.Env, *Config) (controller.Runner, error) {
	return func(env *controller.Env, c *Config) (controller.Runner, error) { return make(env, c.workers(flag)) }
}

// All are the controllers, in the order in which they start.
func All() []Descriptor {
	return []Descriptor{
		{Name: "serviceaccount-controller", Alias: "serviceaccount", Account: "service-account-controller",
			New: func(env *controller.Env, _ *Config) (controller.Runner, error) { return serviceaccount.New(env, 1) }},
		{Name: "root-ca-certificate-publisher-controller", Alias: "root-ca-cert-publisher", Account: "root-ca-cert-publisher", New: newRootCA},
		{Name: "namespace-controller", Alias: "namespace", Account: "namespace-controller", New: plain("namespace", namespace.New)},
		{Name: "replicationcontroller-controller", Alias: "replicationcontroller", Account: "replication-controller", New: plain("rc", replicationcontroller.New)},
		{Name: "replicaset-controller", Alias: "replicaset", Account: "replicaset-controller", New: plain("replicaset", replicaset.New)},
		{Name: "deployment-controller", Alias: "deployment", Account: "deployment-controller", New: plain("deployment", deployment.New)},
	}
}

func newRootCA(env *controller.Env, c *Config) (controller.Runner, error) {
	if c.RootCAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.RootCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading --root-ca-file: %w", err)
	}
	return rootca.New(env, pem)
}
