package watchcheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// bug is one that a server could have, as it would look to a client. It answers false where the events have no
// place for it.
type bug struct {
	name string
	seed func(h *History, s Selector, e *Episode) bool
}

// middle is where a client of a long stream is when things go wrong.
func middle(e *Episode, is func(i int) bool) (int, bool) {
	for i := len(e.Events) / 2; i+1 < len(e.Events); i++ {
		if is(i) {
			return i, true
		}
	}
	return 0, false
}

var bugs = []bug{
	{"an event is dropped", func(_ *History, _ Selector, e *Episode) bool {
		i, ok := middle(e, func(i int) bool { return e.Events[i].Type != bookmark && e.Events[i+1].Type != bookmark })
		if ok {
			e.Events = slices.Delete(e.Events, i, i+1)
		}
		return ok
	}},
	{"events are reordered", func(_ *History, _ Selector, e *Episode) bool {
		i, ok := middle(e, func(i int) bool { return e.Events[i].Type != bookmark && e.Events[i+1].Type != bookmark })
		if ok {
			e.Events[i], e.Events[i+1] = e.Events[i+1], e.Events[i]
		}
		return ok
	}},
	{"an event comes twice", func(_ *History, _ Selector, e *Episode) bool {
		i, ok := middle(e, func(i int) bool { return e.Events[i].Type != bookmark })
		if ok {
			e.Events = slices.Insert(e.Events, i, e.Events[i])
		}
		return ok
	}},
	{"an object is resurrected", func(_ *History, _ Selector, e *Episode) bool {
		i, ok := middle(e, func(i int) bool { return e.Events[i].Type == deleted })
		if ok {
			back := e.Events[i]
			back.Type = added
			e.Events = slices.Insert(e.Events, i+1, back)
		}
		return ok
	}},
	{"a bookmark comes too early", func(_ *History, _ Selector, e *Episode) bool {
		i, ok := middle(e, func(i int) bool { return e.Events[i].Type != bookmark })
		if ok {
			e.Events = slices.Insert(e.Events, i, Event{Type: bookmark, State: State{Revision: e.Events[i].State.Revision}})
		}
		return ok
	}},
}

// seeded puts each bug into recordings that are right, and has it found in all of them.
func seeded(t *testing.T, h *History, all []*Watcher) {
	t.Helper()
	for _, b := range bugs {
		tried := 0
		for i, w := range all {
			for _, e := range w.Episodes {
				e.Events = slices.Clone(e.Events)
				if e.List || e.After == 0 || len(e.Events) < 10 || !b.seed(h, w.Selector, &e) {
					continue
				}
				tried++
				if len(h.Judge(w.Selector, []Episode{e})) == 0 {
					t.Errorf("watcher %d, after %d: %s, and nobody sees it", i, e.After, b.name)
				}
			}
		}
		if tried < 10 {
			t.Errorf("%s in %d recordings only", b.name, tried)
		}
	}
}

// seededWrites puts faults of acknowledgements into a ledger that is right: one that came before its write, which then
// was not made, and one that was made and that nobody asked for.
func seededWrites(t *testing.T, h *History, l *Ledger) {
	t.Helper()
	tried := 0
	for key, writes := range l.writes {
		last := writes[len(writes)-1]
		if last.Maybe || last.Mark == "" || key[0] == "events" {
			continue
		}
		tried++
		early := last
		early.Mark, early.Revision = "early", last.Revision+1
		for what, faulty := range map[string][]Write{
			"an early acknowledgement":  append(slices.Clone(writes), early),
			"a write that nobody made":  writes[:len(writes)-1],
			"another's acknowledgement": append(slices.Clone(writes[:len(writes)-1]), early),
		} {
			one := &Ledger{writes: map[[2]string][]Write{key: faulty}}
			if len(one.Judge(h)) == 0 {
				t.Errorf("%v: %s, and nobody sees it", key, what)
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d keys end with an acknowledged write", tried)
	}
}

// story is a small history: each word is an object's name and what became of it.
func story(text string) *History {
	h := newHistory()
	for i, word := range strings.Fields(text) {
		name, what, _ := strings.Cut(word, ":")
		revision := int64(10 * (i + 1))
		var now *State
		if what != "gone" {
			now = &State{
				Key: "n/" + name, Revision: revision, UID: "u-" + name, Mark: fmt.Sprint(revision),
				Labels: map[string]string{"colour": what}, Fields: map[string]string{"metadata.name": name},
			}
		}
		h.change("configmaps", "/registry/configmaps/n/"+name, revision, now)
	}
	return h
}

var (
	everything = Selector{Resource: "configmaps"}
	red        = Selector{Resource: "configmaps", Labels: map[string]string{"colour": "red"}}
)

// right is what a server without fault tells.
func right(h *History, s Selector, after, until int64) (out []Event) {
	for _, t := range transitions(h.of(s.Resource), s) {
		if t.revision > after && t.revision <= until {
			out = append(out, t.event)
		}
	}
	return out
}

func TestSelectorsSeeObjectsComeAndGo(t *testing.T) {
	h := story("a:red b:blue a:blue b:red a:red a:gone b:gone")
	var got []string
	for _, e := range right(h, red, 0, 100) {
		got = append(got, e.String())
	}
	want := "ADDED n/a at 10 (10), DELETED n/a at 30 (10), ADDED n/b at 40 (40), ADDED n/a at 50 (50), DELETED n/a at 60 (50), DELETED n/b at 70 (40)"
	if strings.Join(got, ", ") != want {
		t.Errorf("red is %v", got)
	}
}

func TestTheCheckerFindsSeededBugs(t *testing.T) {
	h := story("a:red b:red a:red c:red c:gone b:red a:gone d:red b:red")
	for _, s := range []Selector{everything, red} {
		for _, after := range []int64{0, 5, 10, 20} {
			e := Episode{After: after, Events: right(h, s, after, 100)}
			if wrong := h.Judge(s, []Episode{e}); len(wrong) > 0 {
				t.Errorf("%v after %d is right, and is called wrong: %v", s, after, wrong)
			}
			for _, b := range bugs {
				e := Episode{After: after, Events: slices.Clone(e.Events)}
				if !b.seed(h, s, &e) {
					t.Errorf("%s: there is no place for it after %d", b.name, after)
				}
				if len(h.Judge(s, []Episode{e})) == 0 {
					t.Errorf("%v after %d: %s, and nobody sees it", s, after, b.name)
				}
			}
		}
	}
}

func TestStatesAreJudged(t *testing.T) {
	h := story("a:red b:red a:blue c:red b:gone")
	add := func(name string, revision int64) Event {
		return Event{Type: added, State: State{Key: "n/" + name, Revision: revision, UID: "u-" + name, Mark: fmt.Sprint(revision), Labels: map[string]string{"colour": "red"}}}
	}
	whole := func(revision int64) Event {
		return Event{Type: bookmark, Whole: true, State: State{Revision: revision}}
	}
	rest := right(h, red, 40, 100)
	for _, c := range []struct {
		name string
		e    Episode
		ok   bool
	}{
		{"a list", Episode{List: true, Revision: 45, Events: []Event{add("b", 20), add("c", 40)}}, true},
		{"a list that lacks one", Episode{List: true, Revision: 45, Events: []Event{add("b", 20)}}, false},
		{"a list that resurrects", Episode{List: true, Revision: 45, Events: []Event{add("a", 10), add("b", 20), add("c", 40)}}, false},
		{"a list that is old", Episode{List: true, Revision: 25, Floor: 30, Events: []Event{add("a", 10), add("b", 20)}}, false},
		{"a state, and what follows", Episode{Events: append([]Event{add("b", 20), add("c", 40)}, rest...)}, true},
		{"an old state, and what follows", Episode{Events: append([]Event{add("a", 10)}, right(h, red, 10, 100)...)}, true},
		{"an old state where a new one was asked for", Episode{Floor: 40, Events: append([]Event{add("a", 10)}, right(h, red, 10, 100)...)}, false},
		{"a state that lacks one", Episode{Floor: 40, Events: append([]Event{add("c", 40)}, rest...)}, false},
		{"a state that was cut off", Episode{Floor: 40, Events: []Event{add("c", 40)}}, true},
		{"a state and its bookmark", Episode{Events: append([]Event{add("b", 20), add("c", 40), whole(45)}, rest...)}, true},
		{"a state that lacks one, and a bookmark", Episode{Events: append([]Event{add("b", 20), whole(45)}, rest...)}, false},
		{"a bookmark that is old", Episode{Floor: 50, Events: append([]Event{add("b", 20), add("c", 40), whole(45)}, rest...)}, false},
		{"a state with one twice", Episode{Floor: 40, Events: append([]Event{add("b", 20), add("b", 20)}, rest...)}, false},
	} {
		if wrong := h.Judge(red, []Episode{c.e}); len(wrong) == 0 != c.ok {
			t.Errorf("%s: %v", c.name, wrong)
		}
	}
}

func TestEndingsAreJudged(t *testing.T) {
	begun := time.Unix(1000, 0)
	after := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name string
		e    Episode
		ok   bool
	}{
		{"a watch that was told to begin anew", Episode{Ending: Expired, Over: after(1)}, true},
		{"a watch that lasted as long as it should", Episode{Ending: Ended, Asked: 3 * time.Second, Over: after(3)}, true},
		{"a watch that ended early", Episode{Ending: Ended, Asked: 3 * time.Second, Over: after(2)}, false},
		{"a watch that ended without a word", Episode{Ending: Ended, Over: after(2)}, false},
		{"a watch that broke", Episode{Ending: Broken, Asked: time.Second, Over: after(2)}, false},
		{"a watch whose server went", Episode{Ending: Broken, Over: after(12)}, true},
		{"a watch of the other server", Episode{Ending: Broken, Server: 1, Over: after(12)}, false},
		{"a watch that was refused", Episode{Ending: Refused, Over: after(1)}, false},
		{"a list for which a slow machine had no time", Episode{Server: 1, List: true, Ending: Later, Over: after(10)}, true},
		{"a list for which there is never time", Episode{Server: 1, List: true, Ending: Later, Over: after(200)}, false},
	} {
		c.e.Begun = begun
		if wrong := JudgeEndings([]Episode{c.e}, []Outage{{From: after(10), To: after(15)}}); len(wrong) == 0 != c.ok {
			t.Errorf("%s: %v", c.name, wrong)
		}
	}
}

func TestWhoIsPutOffMustBeServedInTheEnd(t *testing.T) {
	var put []Episode
	for i := range 20 {
		begun := time.Unix(int64(1000+10*i), 0)
		put = append(put, Episode{List: true, Ending: Later, Begun: begun, Over: begun.Add(10 * time.Second)})
	}
	if wrong := JudgeEndings(put, nil); len(wrong) != 8 {
		t.Errorf("of 20 lists that had no answer in 10s the %d after two minutes are wrong, not 8: %v", len(wrong), wrong)
	}
	put[10].Ending = Ended
	if wrong := JudgeEndings(put, nil); len(wrong) > 0 {
		t.Errorf("with an answer in between: %v", wrong)
	}
}

func TestTheLedgerIsJudged(t *testing.T) {
	h := story("a:red a:red a:gone a:red")
	write := func(mark string, revision int64) Write {
		return Write{Resource: "configmaps", Key: "n/a", Mark: mark, Revision: revision}
	}
	maybe := func(mark string) Write {
		return Write{Resource: "configmaps", Key: "n/a", Mark: mark, Maybe: true}
	}
	for _, c := range []struct {
		name   string
		writes []Write
		ok     bool
	}{
		{"what happened", []Write{write("10", 10), write("20", 20), write("", 0), write("40", 40)}, true},
		{"what nobody was told of", []Write{maybe("10"), maybe("20"), maybe(""), maybe("40")}, true},
		{"what may have happened and did not", []Write{write("10", 10), write("20", 20), maybe("25"), write("", 0), write("40", 40)}, true},
		{"what was done again", []Write{write("10", 10), write("20", 20), maybe(""), write("", 0), maybe("30"), write("40", 40)}, true},
		{"an acknowledgement before the write", []Write{write("10", 10), write("20", 20), write("25", 25), write("", 0), write("40", 40)}, false},
		{"an acknowledged write that was lost", []Write{write("10", 10), write("20", 20), write("", 0), write("40", 40), write("50", 50)}, false},
		{"an acknowledgement with another's version", []Write{write("10", 10), write("20", 25), write("", 0), write("40", 40)}, false},
		{"a deletion that nobody asked for", []Write{write("10", 10), write("20", 20), write("40", 40)}, false},
		{"an object that came back", []Write{write("10", 10), write("20", 20), write("", 0)}, false},
	} {
		l := &Ledger{}
		for _, w := range c.writes {
			l.add(w)
		}
		if wrong := l.Judge(h); len(wrong) == 0 != c.ok {
			t.Errorf("%s: %v", c.name, wrong)
		}
	}
	steps := []Write{write("10", 10), write("10", 20), write("", 0)}
	if wrong := judgeWrites([]Write{steps[0], steps[2]}, steps); len(wrong) > 0 {
		t.Errorf("a deletion in two steps: %v", wrong)
	}
}
