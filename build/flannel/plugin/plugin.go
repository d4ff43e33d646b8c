package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// add connects a pod. What it delegates is remembered first, so that a deletion undoes the same even if
// the configuration or the subnet has changed meanwhile, and even if the addition fails half way.
func add(args *skel.CmdArgs) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	s, err := readSubnet(c.SubnetFile)
	if err != nil {
		return err
	}
	kind, delegated, err := c.delegate(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return types.NewError(types.ErrIOFailure, "remembering how the pod is connected", err.Error())
	}
	if err := os.WriteFile(c.remembered(args), delegated, 0o600); err != nil {
		return types.NewError(types.ErrIOFailure, "remembering how the pod is connected", err.Error())
	}
	result, err := invoke.DelegateAdd(context.Background(), kind, delegated, nil)
	if err != nil {
		return err
	}
	return types.PrintResult(result, c.CNIVersion)
}

// del disconnects a pod. One that is not remembered is disconnected already.
func del(args *skel.CmdArgs) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	kind, delegated, err := c.recall(args)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := invoke.DelegateDel(context.Background(), kind, delegated, nil); err != nil {
		return err
	}
	return os.Remove(c.remembered(args))
}

// check verifies that a pod is still connected as it was.
func check(args *skel.CmdArgs) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	kind, delegated, err := c.recall(args)
	if err != nil {
		return types.NewError(types.ErrUnknownContainer, "it is not known how the pod was connected", err.Error())
	}
	return invoke.DelegateCheck(context.Background(), kind, delegated, nil)
}

func (c config) remembered(args *skel.CmdArgs) string {
	return filepath.Join(c.DataDir, filepath.Base(args.ContainerID))
}

func (c config) recall(args *skel.CmdArgs) (string, []byte, error) {
	content, err := os.ReadFile(c.remembered(args))
	if err != nil {
		return "", nil, err
	}
	kind, delegated, err := withPrevResult(content, c.PrevResult)
	if err != nil {
		return "", nil, types.NewError(types.ErrDecodingFailure, "reading "+c.remembered(args), err.Error())
	}
	return kind, delegated, nil
}
