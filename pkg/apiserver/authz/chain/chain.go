// Package chain puts the authorization modes together as the flags of the apiserver name them.
package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/node"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The modes of --authorization-mode.
const (
	AlwaysAllow = "AlwaysAllow"
	AlwaysDeny  = "AlwaysDeny"
	Node        = "Node"
	RBAC        = "RBAC"
)

// Config says which modes are asked, in which order, and what they know.
type Config struct {
	Modes []string // none: AlwaysAllow
	// Reader is what Node and RBAC follow.
	Reader resource.Reader
	// NodeRules hold for every node alike.
	NodeRules []rbacv1.PolicyRule
}

// Chain is the Authorizer of the server. Roles is the index of the RBAC mode, nil where RBAC is off.
type Chain struct {
	authz.Union
	Roles  *rbac.Index
	synced []<-chan struct{}
}

// New starts the modes; they follow the cluster until ctx ends. Members of system:masters are allowed
// everything before any mode is asked.
func New(ctx context.Context, cfg Config) (*Chain, error) {
	modes := cfg.Modes
	if len(modes) == 0 {
		modes = []string{AlwaysAllow}
	}
	c := &Chain{Union: authz.Union{authz.Masters()}}
	seen := map[string]bool{}
	for _, m := range modes {
		if seen[m] {
			return nil, fmt.Errorf("authorization-mode %q has mode specified more than once", modes)
		}
		seen[m] = true
		if err := c.add(ctx, m, cfg); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Chain) add(ctx context.Context, mode string, cfg Config) error {
	switch mode {
	case AlwaysAllow:
		c.Union = append(c.Union, authz.AlwaysAllow())
	case AlwaysDeny:
		c.Union = append(c.Union, authz.AlwaysDeny())
	case Node:
		g, synced, err := node.NewGraph(ctx, cfg.Reader)
		if err != nil {
			return fmt.Errorf("starting the Node authorizer: %w", err)
		}
		c.synced = append(c.synced, synced)
		c.Union = append(c.Union, node.New(g, cfg.NodeRules))
	case RBAC:
		ix, synced, err := rbac.NewIndex(ctx, cfg.Reader)
		if err != nil {
			return fmt.Errorf("starting the RBAC authorizer: %w", err)
		}
		c.Roles = ix
		c.synced = append(c.synced, synced)
		c.Union = append(c.Union, ix)
	default:
		return fmt.Errorf("authorization-mode %q is not a valid mode; use %s", mode,
			strings.Join([]string{AlwaysAllow, AlwaysDeny, Node, RBAC}, ", "))
	}
	return nil
}

// WaitSynced waits until every mode has seen what was stored.
func (c *Chain) WaitSynced(ctx context.Context) error {
	for _, s := range c.synced {
		select {
		case <-s:
		case <-ctx.Done():
			return errors.Join(errors.New("waiting for the authorizers to read the cluster"), ctx.Err())
		}
	}
	return nil
}
