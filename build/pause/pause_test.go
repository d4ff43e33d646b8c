package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build writes the pause program of an architecture into a file.
func build(t *testing.T, arch string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pause")
	if err := write(t.Context(), arch, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestProgramIsSmallAndOfItsArchitecture(t *testing.T) {
	for arch, machine := range machines {
		file := build(t, arch)
		f, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(f.Progs) != 1 {
			t.Errorf("%s: machine %v, type %v, %d segments", arch, f.Machine, f.Type, len(f.Progs))
		}
		if f.Progs[0].Flags != elf.PF_R|elf.PF_X {
			t.Errorf("%s: the segment is %v, want readable and executable", arch, f.Progs[0].Flags)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= 1024 || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %d bytes with mode %v, want less than 1 KiB with mode 0755", arch, info.Size(), info.Mode())
		}
	}
}

func TestProgramIsTheSameTwice(t *testing.T) {
	first, err := os.ReadFile(build(t, runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(build(t, runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two builds differ")
	}
}

func TestUnknownArchitectureIsRefused(t *testing.T) {
	if _, err := assemble(t.Context(), "mips"); err == nil || !strings.Contains(err.Error(), "amd64 or arm64") {
		t.Errorf("error %v, want one that names the choices", err)
	}
}

// asInit runs a shell script as the first process of a PID namespace, with files from number 3 on. In a user namespace that needs no root.
func asInit(t *testing.T, script string, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// emulators run a program of another architecture; they are in Debian's package qemu-user.
var emulators = map[string]string{"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}

// start is the shell's words that become the pause program of an architecture, through an emulator where this
// machine is of another one.
func start(t *testing.T, arch string) string {
	t.Helper()
	program := build(t, arch)
	if arch == runtime.GOARCH {
		return "exec " + program
	}
	emulator, err := exec.LookPath(emulators[arch])
	if err != nil {
		t.Fatalf("%v: a program for %s needs the package qemu-user here", err, arch)
	}
	return "exec " + emulator + " " + program
}

// everywhere makes one test of each architecture.
func everywhere(t *testing.T, test func(t *testing.T, arch string)) {
	for arch := range machines {
		t.Run(arch, func(t *testing.T) { test(t, arch) })
	}
}

// eventually asks until the answer is yes: what the kernel does with other processes raises no event here.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// waits says whether a process is blocked in the system call that waits for signals, and so uses no CPU. An
// emulator makes the call that its program makes, with this machine's number.
func waits(cmd *exec.Cmd) bool {
	number := map[string]string{"amd64": "128 ", "arm64": "137 "}[runtime.GOARCH]
	call, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/syscall")
	return err == nil && strings.HasPrefix(string(call), number)
}

func children(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	pid := strconv.Itoa(cmd.Process.Pid)
	list, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(list))
}

func TestEndsOnSignalsAsTheFirstProcess(t *testing.T) { everywhere(t, endsOnSignals) }

func endsOnSignals(t *testing.T, arch string) {
	command := start(t, arch)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := asInit(t, command)
		eventually(t, "pause waits for signals", func() bool { return waits(cmd) })
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v: %v, want exit code 0", s, err)
		}
	}
}

func TestReapsWhatEndsBeforeAndAfterItsStart(t *testing.T) { everywhere(t, reaps) }

func reaps(t *testing.T, arch string) {
	gate, opener, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// One child ends at once, before or after the shell becomes the pause program; two end when the gate opens.
	cmd := asInit(t, "true & read x <&3 & read x <&3 & "+start(t, arch), gate)
	gate.Close()
	eventually(t, "pause waits for signals", func() bool { return waits(cmd) })
	eventually(t, "the first child is reaped", func() bool { return len(children(t, cmd)) == 2 })
	opener.Close()
	eventually(t, "all children are reaped", func() bool { return len(children(t, cmd)) == 0 })
	eventually(t, "pause waits for signals again", func() bool { return waits(cmd) })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
