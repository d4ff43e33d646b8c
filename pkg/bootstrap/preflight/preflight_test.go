package preflight

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// good is a machine that has all, and wants that it can fulfil.
func good() (Machine, Wants) {
	return Machine{
			Root: true, CNI: "/usr/lib/cni",
			Program:   func(name string) string { return "/usr/bin/" + name },
			Listening: func(string, int) bool { return false },
			Sysctl:    func(string) (string, bool) { return "1", true },
			Exists:    func(string) bool { return false },
			Empty:     func(string) bool { return true },
			Writable:  func(string) error { return nil },
			Swap:      func() bool { return false },
			Cgroups:   func() []string { return []string{"cpu", "memory", "pids"} },
			Runtime:   func() error { return nil },
		}, Wants{
			ControlPlane: true, OwnEtcd: true, Port: 6443, DataDir: "/var/lib/etcd", BinDir: "/bin", Kubelet: "/bin/kubelet", ImageDir: "/images",
			Images: []string{"pause"}, HaveImages: []string{"pause"}, NodeName: "one",
		}
}

func TestAGoodMachineHasNoFindings(t *testing.T) {
	if f := Run(good()); len(f) > 0 {
		t.Error(f)
	}
}

func TestFindingsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Machine, *Wants)
		check  string
		says   string
	}{
		"no root": {func(m *Machine, _ *Wants) { m.Root = false }, "IsPrivilegedUser", "sudo"},
		"no containerd": {func(m *Machine, _ *Wants) {
			m.Program = func(string) string { return "" }
			m.Runtime = func() error { return errors.New("no") }
		}, "FileExisting-containerd", "apt-get install containerd"},
		"no plugins":     {func(m *Machine, _ *Wants) { m.CNI = "" }, "FileExisting-cni", "apt-get install containernetworking-plugins"},
		"no kubelet":     {func(_ *Machine, w *Wants) { w.Kubelet = "" }, "FileExisting-kubelet", "make build"},
		"port taken":     {func(m *Machine, _ *Wants) { m.Listening = func(_ string, p int) bool { return p == 6443 } }, "Port-6443", "--apiserver-bind-port"},
		"data":           {func(m *Machine, _ *Wants) { m.Writable = func(string) error { return errors.New("read-only") } }, "DataDirWritable", "--data-dir"},
		"old data":       {func(m *Machine, _ *Wants) { m.Empty = func(string) bool { return false } }, "DirAvailable--var-lib-etcd", "ctl reset"},
		"images":         {func(_ *Machine, w *Wants) { w.HaveImages = nil }, "Images", "make images"},
		"cgroups":        {func(m *Machine, _ *Wants) { m.Cgroups = func() []string { return []string{"cpu"} } }, "SystemVerification", "memory, pids"},
		"another's node": {func(_ *Machine, w *Wants) { w.Again, w.WasNode = true, "two" }, "NodeName", "ctl reset"},
	} {
		m, w := good()
		c.change(&m, &w)
		err := Judge(Run(m, w), nil, func(string, ...any) {})
		var failed *Failed
		if !errors.As(err, &failed) || !slices.ContainsFunc(failed.Findings, func(f Finding) bool { return f.Check == c.check && strings.Contains(f.Text, c.says) }) {
			t.Errorf("%s: %v, want %s to say %q", name, err, c.check, c.says)
		}
	}
}

func TestAnotherRunIsNotHinderedByTheFirst(t *testing.T) {
	m, w := good()
	m.Listening, m.Empty = func(string, int) bool { return true }, func(string) bool { return false }
	w.Again, w.WasNode = true, "one"
	if err := Judge(Run(m, w), nil, t.Logf); err != nil {
		t.Error(err)
	}
}

func TestIgnoredErrorsBecomeWarnings(t *testing.T) {
	m, w := good()
	m.Listening = func(_ string, p int) bool { return p == 6443 }
	warned := 0
	if err := Judge(Run(m, w), []string{"port-6443"}, func(string, ...any) { warned++ }); err != nil || warned != 1 {
		t.Errorf("err %v and %d warnings, want none and one", err, warned)
	}
}
