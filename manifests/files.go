// Package manifests is what a cluster is made of beside its daemons' programs: the static pods of the control
// plane, the add-ons that run in it, and the units by which systemd runs what is outside of it. The YAML
// files are templates, for reading and for changing; pkg/bootstrap fills them in.
package manifests

import "embed"

// Files are the templates: staticpods/*.yaml, addons/*.yaml, cluster/*.yaml.
//
//go:embed staticpods/*.yaml addons/*.yaml cluster/*.yaml
var Files embed.FS

// Units are the units of systemd.
//
//go:embed systemd
var Units embed.FS
