package apiserver

import (
	"context"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/stream"
)

// streams makes what reaches kubelets, pods and services.
func (s *Server) streams() (*stream.Streams, error) {
	k := s.cfg.Kubelet
	return stream.New(stream.Config{
		Access: s.registry, CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile, AddressTypes: k.AddressTypes, Timeout: k.Timeout,
		Permitted: s.permitted, Fail: endpoint.Fail,
	})
}

// permitted says whether who sent the request of ctx may also do what info says.
func (s *Server) permitted(ctx context.Context, info *request.Info) (bool, string, error) {
	decision, reason, err := s.guard.Authz.Authorize(ctx, request.UserFrom(ctx), info)
	return decision == authz.Allow, reason, err
}
