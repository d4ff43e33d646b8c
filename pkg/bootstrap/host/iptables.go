package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// NATTable is a nat table of iptables: for one family of addresses, in one of the two places where kernels keep
// such tables, each of which has commands of its own.
type NATTable struct {
	command string // lists it
	restore string // changes it
}

// NATTables are the nat tables that this machine's kernel has. None is made by looking.
func NATTables(ctx context.Context) ([]NATTable, error) {
	inNFTables, err := Tables(ctx)
	if err != nil {
		return nil, err
	}
	var found []NATTable
	for _, family := range []struct{ command, table, legacy string }{
		{"iptables", "ip nat", "/proc/thread-self/net/ip_tables_names"}, {"ip6tables", "ip6 nat", "/proc/thread-self/net/ip6_tables_names"},
	} {
		if slices.Contains(inNFTables, family.table) {
			found = append(found, natTable(family.command, "-nft")...)
		}
		names, _ := os.ReadFile(family.legacy) // there is none where the kernel has no such tables
		if slices.Contains(strings.Fields(string(names)), "nat") {
			found = append(found, natTable(family.command, "-legacy")...)
		}
	}
	return found, nil
}

// natTable finds the commands of a kind; where a machine has one kind alone, their names do not tell it. Without
// any there is nobody who could have made rules.
func natTable(command, kind string) []NATTable {
	for _, name := range []string{command + kind, command} {
		if list, restore := Program(name), Program(name+"-restore"); list != "" && restore != "" {
			return []NATTable{{list, restore}}
		}
	}
	return nil
}

// String says whose table it is.
func (t NATTable) String() string { return "the nat table of " + filepath.Base(t.command) }

// Chains names the table's chains whose names start like that.
func (t NATTable) Chains(ctx context.Context, prefix string) ([]string, error) {
	rules, err := t.rules(ctx)
	chains, _ := chainsOf(rules, prefix)
	return chains, err
}

// rules lists the table. One that others have put together with nft cannot be shown so, and has no chain of iptables.
func (t NATTable) rules(ctx context.Context) (string, error) {
	out, err := Run(ctx, t.command, "-w", "-t", "nat", "-S")
	if err != nil && strings.Contains(err.Error(), "is incompatible, use 'nft' tool") {
		return "", nil
	}
	return out, err
}

// RemoveChains removes the chains whose names start like that, and the rules of others that lead to them.
func (t NATTable) RemoveChains(ctx context.Context, prefix string) error {
	rules, err := t.rules(ctx)
	if err != nil {
		return err
	}
	chains, jumps := chainsOf(rules, prefix)
	if len(chains) == 0 {
		return nil
	}
	input := "*nat\n"
	for _, rule := range jumps {
		input += "-D" + rule + "\n"
	}
	for _, verb := range []string{"-F ", "-X "} { // they may lead to one another
		for _, c := range chains {
			input += verb + c + "\n"
		}
	}
	cmd := exec.CommandContext(ctx, t.restore, "-w", "--noflush")
	cmd.Stdin = strings.NewReader(input + "COMMIT\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", t.restore, err, bytes.TrimSpace(out))
	}
	return nil
}

// quoted is a comment, which may read like a rule.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// chainsOf reads what -S printed: the chains with that prefix, and what follows -A in other chains' rules that
// lead to one.
func chainsOf(rules, prefix string) (chains, jumps []string) {
	for line := range strings.Lines(rules) {
		words := strings.Fields(quoted.ReplaceAllString(line, "comment"))
		if len(words) < 2 {
			continue
		}
		ours := strings.HasPrefix(words[1], prefix)
		switch {
		case words[0] == "-N" && ours:
			chains = append(chains, words[1])
		case words[0] == "-A" && !ours && leadsTo(words, prefix):
			jumps = append(jumps, strings.TrimPrefix(strings.TrimSpace(line), "-A"))
		}
	}
	return chains, jumps
}

func leadsTo(rule []string, prefix string) bool {
	for i, w := range rule[:len(rule)-1] {
		if (w == "-j" || w == "-g") && strings.HasPrefix(rule[i+1], prefix) {
			return true
		}
	}
	return false
}
