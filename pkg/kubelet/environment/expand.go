package environment

import (
	"fmt"
	"strings"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Expand replaces $(NAME) in a container's command and arguments by the value of the variable. What is not
// set stays as it stands; $$ is a literal $.
func Expand(command, args []string, env []*cri.KeyValue) (expandedCommand, expandedArgs []string) {
	values := map[string]string{}
	for _, v := range env {
		values[v.Key] = string(v.Value)
	}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	all := func(list []string) []string {
		var out []string
		for _, s := range list {
			out = append(out, expand(s, lookup))
		}
		return out
	}
	return all(command), all(args)
}

// ExpandAll replaces $(NAME) in text, and fails when a variable is not set.
func ExpandAll(text string, env []*cri.KeyValue) (string, error) {
	values := map[string]string{}
	for _, v := range env {
		values[v.Key] = string(v.Value)
	}
	var missing []string
	out := expand(text, func(name string) (string, bool) {
		v, ok := values[name]
		if !ok {
			missing = append(missing, name)
		}
		return v, ok
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %q", missing[0])
	}
	return out, nil
}

func expand(text string, lookup func(name string) (string, bool)) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i == len(text)-1 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:i])
		rest := text[i+1:]
		end := strings.IndexByte(rest, ')')
		switch {
		case rest[0] == '$':
			out.WriteByte('$')
			text = rest[1:]
		case rest[0] == '(' && end > 0:
			if v, ok := lookup(rest[1:end]); ok {
				out.WriteString(v)
			} else {
				out.WriteString("$" + rest[:end+1])
			}
			text = rest[end+1:]
		default: // an unclosed reference, or a $ before something else: as it stands
			out.WriteString("$" + rest[:1])
			text = rest[1:]
		}
	}
}
