package expression

import (
	"context"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

func TestVariablesAreEvaluatedOnceAndCounted(t *testing.T) {
	c, err := NewComposed()
	if err != nil {
		t.Fatal(err)
	}
	c.Variable("n", "[1, 2, 3].map(x, x * 2).size()", Vars{}, Stored)
	once, twice := c.Compile("variables.n == 3", Vars{}, Stored, cel.BoolType), c.Compile("variables.n + variables.n == 6", Vars{}, Stored, cel.BoolType)
	spent := func(p *Program) int64 {
		e := c.Evaluate(context.Background(), Values{}, Budget)
		out, err, over := e.Run(p)
		if out != types.True || err != nil || over != nil {
			t.Fatalf("%s: %v, %v, %v", p.Text, out, err, over)
		}
		return Budget - e.Left
	}
	one, two := spent(once), spent(twice)
	if one <= 5 || two-one > 5 {
		t.Errorf("using a variable costs %d, using it twice %d", one, two)
	}
}

func TestBudgetEnds(t *testing.T) {
	c := NewCompiler()
	p := c.Compile("[1, 2, 3].all(x, x > 0)", Vars{}, Stored, cel.BoolType)
	e := c.Evaluate(context.Background(), Values{}, Budget)
	if _, _, over := e.Run(p); over != nil {
		t.Fatal(over)
	}
	cost := Budget - e.Left
	exact := c.Evaluate(context.Background(), Values{}, cost)
	if _, _, over := exact.Run(p); over != nil || exact.Left != 0 {
		t.Errorf("what is just enough is refused: %v, %d left", over, exact.Left)
	}
	short := c.Evaluate(context.Background(), Values{}, cost-1)
	if _, _, over := short.Run(p); over == nil || !strings.Contains(over.Error(), "running out of cost budget") {
		t.Errorf("what is too little is taken: %v", over)
	}
}

func TestConditions(t *testing.T) {
	object := map[string]any{"kind": "Pod", "metadata": map[string]any{"name": "a"}}
	for _, c := range []struct {
		texts []string
		holds bool
		wrong string
	}{
		{nil, true, ""},
		{[]string{"true", "object.kind == 'Pod'"}, true, ""},
		{[]string{"true", "object.kind == 'Node'"}, false, ""},
		{[]string{"object.spec.x == 1", "object.kind == 'Node'"}, false, ""}, // what does not hold decides
		{[]string{"object.spec.x == 1", "true"}, false, "expression 'object.spec.x == 1' resulted in error: no such key: spec"},
		{[]string{"oldObject == null && !has(object.spec)"}, true, ""},
	} {
		holds, err := NewCompiler().Conditions(c.texts, Vars{}).Hold(context.Background(), Values{Object: object})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if holds != c.holds || got != c.wrong {
			t.Errorf("%q: %v %q, want %v %q", c.texts, holds, got, c.holds, c.wrong)
		}
	}
}
