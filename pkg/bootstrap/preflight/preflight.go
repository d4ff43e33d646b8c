// Package preflight says what is missing on a machine before anything on it is changed, and how to get it.
package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is how much a finding matters.
type Severity int

// Errors keep a machine from being used, warnings do not.
const (
	Warning Severity = iota
	Error
)

// Finding is something that is not as it must be.
type Finding struct {
	Check    string // its name, for --ignore-preflight-errors
	Severity Severity
	Text     string // what is wrong and what to do about it, in one line
}

// Failed is what Judge answers when errors remain.
type Failed struct{ Findings []Finding }

func (f *Failed) Error() string {
	var lines []string
	for _, x := range f.Findings {
		lines = append(lines, fmt.Sprintf("[%s] %s", x.Check, x.Text))
	}
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d things are missing:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// Judge tells warnings, and errors that are to be ignored, and answers the other errors.
func Judge(findings []Finding, ignore []string, warn func(format string, args ...any)) error {
	var errs []Finding
	for _, f := range findings {
		ignored := slices.ContainsFunc(ignore, func(i string) bool { return strings.EqualFold(i, f.Check) || strings.EqualFold(i, "all") })
		if f.Severity == Error && !ignored {
			errs = append(errs, f)
		} else {
			warn("warning [%s]: %s", f.Check, f.Text)
		}
	}
	if len(errs) > 0 {
		return &Failed{errs}
	}
	return nil
}
