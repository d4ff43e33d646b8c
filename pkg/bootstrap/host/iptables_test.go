package host

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// portmapRules are what CNI's plugins portmap and bridge make for a pod, and what others have beside it.
const portmapRules = `*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-DN-0123456789abcdef01234 - [0:0]
:MINE - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -m comment --comment "leads to -j CNI-HOSTPORT-DNAT by its text alone" -j MINE
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"cbr0\" id: \"0123\"" -m multiport --dports 8080 -j CNI-DN-0123456789abcdef01234
-A CNI-DN-0123456789abcdef01234 -s 10.244.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-0123456789abcdef01234 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.244.0.5:80
-A MINE -j RETURN
COMMIT
`

// onNewNetwork makes the rest of the test see a network of its own, which has no rules.
func onNewNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test, and the network with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("this test needs a network of its own (run it as root): %v", err)
	}
}

func run(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestChainsGoFromBothKindsOfIptablesAndOthersStay(t *testing.T) {
	for _, kind := range []string{"legacy", "nft"} {
		t.Run(kind, func(t *testing.T) {
			onNewNetwork(t)
			run(t, portmapRules, "iptables-"+kind+"-restore")
			tables, err := NATTables(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var chains, want []string
			for _, table := range tables {
				had, err := table.Chains(t.Context(), "CNI-")
				if err != nil {
					t.Fatal(err)
				}
				chains = append(chains, had...)
				if err := table.RemoveChains(t.Context(), "CNI-"); err != nil {
					t.Fatal(err)
				}
			}
			if len(chains) != 4 {
				t.Errorf("these chains were found: %q, want the four of portmap", chains)
			}
			for line := range strings.Lines(portmapRules) {
				if words := strings.Fields(line); words[0] == "-A" && strings.Contains(line, " MINE") {
					want = append(want, strings.TrimSpace(line))
				}
			}
			var left []string
			for line := range strings.Lines(run(t, "", "iptables-"+kind, "-t", "nat", "-S")) {
				if strings.HasPrefix(line, "-A") || strings.HasPrefix(line, "-N CNI-") {
					left = append(left, strings.TrimSpace(line))
				}
			}
			if d := cmp.Diff(want, left); d != "" {
				t.Errorf("rules that are left (-want +got):\n%s", d)
			}
		})
	}
}

func TestATableOfNFTIsLeftToItsMaker(t *testing.T) {
	onNewNetwork(t)
	run(t, "table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; meta l4proto { tcp, udp } masquerade; }\n }", "nft", "-f", "-")
	tables, err := NATTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if chains, err := table.Chains(t.Context(), "CNI-"); err != nil || len(chains) > 0 {
			t.Errorf("%s: %q, %v", table, chains, err)
		}
		if err := table.RemoveChains(t.Context(), "CNI-"); err != nil {
			t.Error(err)
		}
	}
	if out := run(t, "", "nft", "list", "tables"); !strings.Contains(out, "table ip nat") {
		t.Errorf("the table is gone: %q", out)
	}
}
