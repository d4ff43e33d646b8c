package dns

import (
	"errors"
	"strings"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// parse reads resolv.conf(5). Of several search lines the last counts; options add up.
func parse(file string) (*cri.DNSConfig, error) {
	c := &cri.DNSConfig{}
	var broken error
	for line := range strings.Lines(file) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if len(fields) < 2 {
				broken = errors.New("nameserver list is empty")
				continue
			}
			c.Servers = append(c.Servers, fields[1])
		case "search":
			c.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				c.Searches = append(c.Searches, s)
			}
		case "options":
			c.Options = mergeOptions(c.Options, fields[1:])
		}
	}
	return c, broken
}
