package phase

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func trail(log *[]string, fails string) []Phase {
	step := func(name string) func(context.Context, Say) error {
		return func(_ context.Context, say Say) error {
			*log = append(*log, name)
			if name == fails {
				return errors.New("no luck")
			}
			say("did %s", name)
			return nil
		}
	}
	return []Phase{{Name: "a", Run: step("a")}, {Name: "b", Sub: []Phase{{Name: "x", Run: step("b/x")}, {Name: "y", Run: step("b/y")}}}, {Name: "c", Run: step("c")}}
}

func TestRunSkipsWholePhasesAndParts(t *testing.T) {
	for skip, want := range map[string]string{"a": "b/x b/y c", "b": "a c", "b/x": "a b/y c"} {
		var log []string
		if err := Run(t.Context(), trail(&log, ""), []string{skip}, NewProgress(&bytes.Buffer{})); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, strings.Join(log, " ")); d != "" {
			t.Errorf("without %s: %s", skip, d)
		}
	}
}

func TestRunStopsAtAFailureAndNamesThePhase(t *testing.T) {
	var log []string
	err := Run(t.Context(), trail(&log, "b/x"), nil, NewProgress(&bytes.Buffer{}))
	var failed *Error
	if !errors.As(err, &failed) || failed.Phase != "b/x" || len(log) != 2 {
		t.Errorf("err %v after %v, want that of b/x after a and b/x", err, log)
	}
}

func TestUnknownNamesListThePhases(t *testing.T) {
	var log []string
	err := Run(t.Context(), trail(&log, ""), []string{"z"}, NewProgress(&bytes.Buffer{}))
	if err == nil || !strings.Contains(err.Error(), "b/y") || len(log) > 0 {
		t.Errorf("err %v after %v, want the list and nothing run", err, log)
	}
	if _, err := Find(trail(&log, ""), "b/z"); err == nil {
		t.Error("a phase that is none was found")
	}
}

func TestFindGivesOnePhaseAlone(t *testing.T) {
	var log []string
	found, err := Find(trail(&log, ""), "b/y")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), []Phase{found}, nil, NewProgress(&out)); err != nil {
		t.Fatal(err)
	}
	if strings.Join(log, " ") != "b/y" || !strings.Contains(out.String(), "[b/y] did b/y") {
		t.Errorf("ran %v and said %q", log, out.String())
	}
}
