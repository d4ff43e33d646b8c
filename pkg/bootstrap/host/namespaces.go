package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// uncover, as a shell's script, removes a file on which something is mounted that no path leads to, because another
// mount lies over it. It runs in a copy of what is mounted, out of which it takes what is in the way. Where a file is
// removed that is no mount point there, the kernel takes away what is mounted on it elsewhere.
const uncover = `while grep -qF " $1 " /proc/self/mountinfo; do
	at=$1
	until umount -l "$at" 2>/dev/null; do
		at=${at%/*}
		[ "$at" ] || exit 1
	done
done
rm -f "$1"`

// RemoveNamespace takes away a network namespace that is mounted on a file, and the file, beneath another mount too.
func RemoveNamespace(file string) error {
	err := Unmount(file)
	_ = os.Remove(file) // what is left of it is seen below
	covered, e := MountsUnder(nil, []string{file})
	if err = errors.Join(err, e); err != nil || len(covered) == 0 {
		return err
	}
	cmd := exec.Command("sh", "-c", uncover, "sh", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	covered, e = MountsUnder(nil, []string{file})
	if e == nil && len(covered) > 0 {
		e = fmt.Errorf("the network namespace %s lies beneath another mount: "+
			"unmount what is mounted at or above its directory (%s)", file, strings.TrimSpace(fmt.Sprint(err, " ", string(out))))
	}
	return e
}
