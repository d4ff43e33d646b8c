// Package bootstrap is what exists in every cluster before anyone writes: roles and their bindings,
// priority classes, and how the server's capacity is shared. The files are for reading and for changing;
// pkg/apiserver/bootstrapobjects makes objects of them.
package bootstrap

import "embed"

// Files are the YAML files of this folder.
//
//go:embed *.yaml
var Files embed.FS
