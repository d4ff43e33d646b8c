package daemon

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const smaps = `00400000-01eb9000 r-xp 00000000 fe:00 10249548                           /usr/bin/apiserver
Size:              27364 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me 
01eb9000-03a83000 r--p 01ab9000 fe:00 10249548                           /usr/bin/apiserver
Anonymous:             0 kB
03a83000-03a84000 r--p 03683000 fe:00 10249548                           /usr/bin/apiserver
Anonymous:             4 kB
03a84000-03b79000 rw-p 03684000 fe:00 10249548                           /usr/bin/apiserver
Anonymous:             0 kB
03b79000-03bd3000 rw-p 00000000 00:00 0 
Anonymous:             0 kB
7fefc8600000-7ff208600000 r--s 00000000 fe:00 16                         /var/lib/etcd/member/snap/db
Anonymous:             0 kB
`

func TestOnlyWhatStandsInTheFileIsGivenBack(t *testing.T) {
	found, err := unwritten(strings.NewReader(smaps), "/usr/bin/apiserver")
	if err != nil {
		t.Fatal(err)
	}
	if want := []mapping{{0x400000, 0x1eb9000}, {0x1eb9000, 0x3a83000}}; !slices.Equal(found, want) {
		t.Errorf("gives back %x, want %x", found, want)
	}
}

// TestSettledProgramRuns reads a table that the program's file holds after it was given back.
func TestSettledProgramRuns(t *testing.T) {
	mapped := func() (kib int) {
		t.Helper()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "RssFile:")
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatal(err)
		}
		return kib
	}
	before := mapped()
	settle()
	if after := mapped(); after > before*3/4 {
		t.Errorf("%d KiB of files are mapped after, %d before", after, before)
	}
	TestOnlyWhatStandsInTheFileIsGivenBack(t)
}
