package daemon

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is how long after its start a daemon has read what there is. What this took beyond what is kept is then given
// back to the system, once: an idle daemon makes too little garbage for the runtime to do so by itself.
const settled = 30 * time.Second

// settle gives back memory, and pages of the program's own file: the kernel maps sixteen around each one that is used,
// so that starting maps nearly all of a program of which a fifth runs afterwards. A page that is used again comes from
// the kernel's page cache, which is free to drop the others.
func settle() {
	debug.FreeOSMemory()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // nothing is owed: what is mapped stays so
	}
	defer func() { _ = smaps.Close() }()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	found, err := unwritten(smaps, program)
	if err != nil {
		return
	}
	for _, m := range found {
		// The first lets the kernel drop these pages before others, the second takes them out of this process.
		for _, advice := range []uintptr{unix.MADV_COLD, unix.MADV_DONTNEED} {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, advice) // a kernel that refuses keeps them
		}
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// unwritten finds the mappings of a file, in the form of /proc/self/smaps, that hold nothing but what is in the file:
// those that cannot be written and have no page of their own, as one has that was written before it was protected.
func unwritten(smaps io.Reader, file string) ([]mapping, error) {
	var found []mapping
	var at mapping
	candidate := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			candidate = len(fields) == 6 && fields[5] == file && !strings.Contains(fields[1], "w")
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &at.start, &at.end); err != nil {
				return nil, err
			}
		case candidate && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				found = append(found, at)
			}
			candidate = false
		}
	}
	return found, lines.Err()
}
