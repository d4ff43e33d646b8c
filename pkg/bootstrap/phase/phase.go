// Package phase runs a procedure that is made of named steps: all of them, all but some, or one alone. It
// knows nothing of what a step does.
package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Phase is one step, or a group of steps below one name. Running a phase again is always allowed: it does
// what is not done yet.
type Phase struct {
	Name  string
	Short string // what it does, for the help; begins with a capital letter
	Run   func(ctx context.Context, say Say) error
	Sub   []Phase
}

// Say tells the user what a phase finds or does.
type Say func(format string, args ...any)

// Progress shows how far a procedure is. Start is called before a phase, End behind it.
type Progress interface {
	Start(name, short string)
	Say(format string, args ...any)
	End(err error, took time.Duration)
}

// Error is what a failed phase answers.
type Error struct {
	Phase string
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("phase %s: %v", e.Phase, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Run runs the phases in order, but those that skip names ("addon", or "addon/coredns" for a part of one).
func Run(ctx context.Context, phases []Phase, skip []string, p Progress) error {
	if err := known(phases, skip); err != nil {
		return err
	}
	return run(ctx, phases, "", skip, p)
}

func run(ctx context.Context, phases []Phase, parent string, skip []string, p Progress) error {
	for _, ph := range phases {
		name := join(parent, ph.Name)
		if slices.Contains(skip, name) {
			continue
		}
		if ph.Run != nil {
			if err := one(ctx, ph, name, p); err != nil {
				return err
			}
		}
		if err := run(ctx, ph.Sub, name, skip, p); err != nil {
			return err
		}
	}
	return nil
}

func one(ctx context.Context, ph Phase, name string, p Progress) error {
	p.Start(name, ph.Short)
	began := time.Now()
	err := ctx.Err()
	if err == nil {
		err = ph.Run(ctx, p.Say)
	}
	p.End(err, time.Since(began))
	if err != nil {
		return &Error{Phase: name, Err: err}
	}
	return nil
}

// Find answers the phase of that name, alone.
func Find(phases []Phase, name string) (Phase, error) {
	first, rest, deep := strings.Cut(name, "/")
	for _, ph := range phases {
		if ph.Name != first {
			continue
		}
		if deep {
			found, err := Find(ph.Sub, rest)
			found.Name = join(first, found.Name)
			return found, err
		}
		return ph, nil
	}
	return Phase{}, fmt.Errorf("there is no phase %q; there are: %s", name, strings.Join(Names(phases), ", "))
}

// Names lists the phases and their parts in the order in which they run.
func Names(phases []Phase) (names []string) {
	for _, ph := range phases {
		names = append(names, ph.Name)
		for _, sub := range Names(ph.Sub) {
			names = append(names, join(ph.Name, sub))
		}
	}
	return names
}

func known(phases []Phase, skip []string) error {
	names := Names(phases)
	for _, s := range skip {
		if !slices.Contains(names, s) {
			return fmt.Errorf("--skip-phases names %q, which is none; there are: %s", s, strings.Join(names, ", "))
		}
	}
	return nil
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}
