package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/crd"
	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/openapi"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// customResources serves the custom resources that are defined, now and from now on.
func (s *Server) customResources(ctx context.Context) error {
	changed := func() {
		s.discovery.Changed()
		s.openapi.Changed()
	}
	clients, err := webhookclient.New(s.registry)
	if err != nil {
		return err
	}
	return crd.Start(ctx, crd.Config{
		Access: s.registry,
		Serve: func(r *resource.Resource) {
			if !s.builtIn(r) {
				s.serveCustom(r)
				changed()
			}
		},
		Withdraw: func(r *resource.Resource) {
			if !s.builtIn(r) {
				s.served.forget(groupResource(r), s.endpoint.Replace(groupResource(r)))
				s.registry.Remove(groupResource(r))
				changed()
			}
		},
		Changed: changed, Clients: clients, Clock: s.clock, Log: s.log.WithName("crd"),
	})
}

func groupResource(r *resource.Resource) schema.GroupResource {
	return schema.GroupResource{Group: r.Kind.Group, Resource: r.Plural}
}

// builtIn says whether a resource has the name of one that needs no definition, and is served before it.
func (s *Server) builtIn(r *resource.Resource) bool {
	store := s.registry.Store(groupResource(r))
	return store != nil && !store.Converts()
}

// serveCustom serves a custom resource in all its versions, in the place of what had its name.
func (s *Server) serveCustom(r *resource.Resource) {
	types := openapi.CustomTypes(kinds.Scheme(), r, false)
	store := s.registry.Add(r, types)
	var served []*endpoint.Served
	if !r.Internal {
		served = append(served, endpoint.NewServed(store, nil, s.clock))
	}
	for _, v := range r.Versions {
		served = append(served, endpoint.NewServed(store.Version(v, types), nil, s.clock))
	}
	s.served.forget(store.GroupResource(), s.endpoint.Replace(store.GroupResource(), served...))
}
