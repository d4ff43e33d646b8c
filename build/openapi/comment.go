package main

import (
	"strings"
)

// description joins a comment's lines into paragraphs: a blank line parts them, indented lines keep their
// breaks, markers (+optional) and lines of work to do are left out, and what follows "---" is for readers
// of the source alone.
func description(comment []string) string {
	var b strings.Builder
	shorten := func() {
		if s := b.String(); s != "" {
			b.Reset()
			b.WriteString(s[:len(s)-1])
		}
	}
	for _, line := range comment {
		line = strings.TrimRight(line, " ")
		if line == "---" {
			break
		}
		start := strings.TrimLeft(line, " ")
		switch {
		case line == "":
			shorten()
			b.WriteString("\n\n")
		case strings.HasPrefix(start, "TODO"), strings.HasPrefix(start, "+"):
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			shorten()
			b.WriteString("\n" + line + "\n")
		default:
			b.WriteString(line + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// markers gives the values of the +name=value lines of a comment; a marker without a value gives "".
func markers(comment []string) map[string][]string {
	out := map[string][]string{}
	for _, line := range comment {
		m, ok := strings.CutPrefix(strings.TrimSpace(line), "+")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(m, "=")
		out[strings.TrimSpace(name)] = append(out[strings.TrimSpace(name)], value)
	}
	return out
}

func first(m map[string][]string, name string) string {
	if v := m[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func has(m map[string][]string, name string) bool { _, ok := m[name]; return ok }
