package ctl

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestKubectlHasItsOwnCommandsAlone(t *testing.T) {
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	root := newRoot([]string{"kubectl"}, streams)
	if root.Name() != "kubectl" {
		t.Errorf("its name is %s", root.Name())
	}
	if own(root, []string{"reset", "--force"}) {
		t.Error("kubectl has our verbs")
	}
}

func TestCtlHasBoth(t *testing.T) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	root := newRoot([]string{"ctl"}, streams)
	adopt(root, streams)
	for args, want := range map[string]bool{"init": true, "init phase certs/ca": true, "token list": true, "--kubeconfig=x reset": true, "get nodes": false, "config view": false, "nothing": false} {
		if got := own(root, strings.Fields(args)); got != want {
			t.Errorf("%q is our verb: %t, want %t", args, got, want)
		}
	}
	root.SetArgs(nil)
	root.SetOut(out)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  init ", "  reset ", "  get ", "  rollout ", "Commands that Make and Remove a Cluster:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "supervise") {
		t.Error("the help shows what users need not call")
	}
}

func TestEveryKubectlCommandIsInASection(t *testing.T) {
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	listed := map[string]bool{}
	for _, g := range groups {
		for _, n := range g.names {
			listed[n] = true
		}
	}
	// These follow the sections, as in kubectl's own help.
	for _, n := range []string{"alpha", "config", "plugin", "version", "api-versions", "api-resources", "options", "kuberc"} {
		listed[n] = true
	}
	for _, c := range newRoot([]string{"kubectl"}, streams).Commands() {
		if !listed[c.Name()] {
			t.Errorf("%s is in no section of the help", c.Name())
		}
		delete(listed, c.Name())
	}
	for n := range listed {
		t.Errorf("kubectl has no command %s", n)
	}
}

func TestResetAsksFirst(t *testing.T) {
	if err := confirm(false, strings.NewReader("y\n"), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("without a terminal: %v, want to be told --force", err)
	}
	if err := confirm(true, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestUnknownPhaseListsThem(t *testing.T) {
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	root := newRoot([]string{"ctl"}, streams)
	adopt(root, streams)
	if code := runOwn(t.Context(), root, []string{"init", "phase", "nonsense"}, errOut); code != 1 || !strings.Contains(errOut.String(), "addon/coredns") || strings.Count(errOut.String(), "\n") != 1 {
		t.Errorf("code %d, said %q; want 1 and one line with the phases", code, errOut)
	}
}

func TestHelpOfInitAndJoinShowsTheirFlags(t *testing.T) {
	for args, want := range map[string]string{
		"init --help": "--pod-network-cidr", "init phase --help": "--pod-network-cidr",
		"join --help": "--discovery-token", "join phase --help": "--discovery-token",
	} {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		root := newRoot([]string{"ctl"}, streams)
		adopt(root, streams)
		root.SetOut(out)
		root.SetArgs(strings.Fields(args))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("ctl %s: %v, and the help lacks %s:\n%s", args, err, want, out)
		}
	}
}
