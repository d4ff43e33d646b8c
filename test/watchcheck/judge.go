package watchcheck

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"
)

// The types of events, in the API's words.
const (
	added    = "ADDED"
	modified = "MODIFIED"
	deleted  = "DELETED"
	bookmark = "BOOKMARK"
)

// Event is what a client was told.
type Event struct {
	Type  string
	State State
	Whole bool // a bookmark that says: now you have seen the state
}

func (e Event) String() string { return e.Type + " " + e.State.String() }

// Ending says how a list or watch was over.
type Ending string

// The endings. Ended is a stream's proper end, Broken one in the middle, Refused an answer that is no stream,
// Expired the word that the client must begin anew, Later that it must ask again because the server had no time,
// Left that the client had what it wanted.
const (
	Ended   Ending = "ended"
	Broken  Ending = "broken"
	Refused Ending = "refused"
	Expired Ending = "expired"
	Later   Ending = "later"
	Left    Ending = "left"
)

// Episode is one list or one watch of a client.
type Episode struct {
	List   bool
	Server int
	// After is the revision after which events were asked for; 0 for the state first, and then what follows.
	After int64
	// Floor is etcd's revision when the state was asked for; 0 where a state may be older.
	Floor int64
	// Revision is a list's own.
	Revision int64
	Events   []Event // a list's items are additions
	Ending   Ending
	Why      string
	// Begun and Over are when, and Asked is how long the client wanted it to last, 0 for long.
	Begun, Over time.Time
	Asked       time.Duration
}

// transition is a change as a selector sees it.
type transition struct {
	revision int64
	event    Event
}

// transitions are the changes that a selector sees.
func transitions(changes []Change, s Selector) (out []transition) {
	for _, c := range changes {
		e := Event{Type: added}
		switch is, was := s.wants(c.Now), s.wants(c.Was); {
		case is && was:
			e.Type, e.State = modified, *c.Now
		case is:
			e.State = *c.Now
		case was:
			e.Type, e.State = deleted, *c.Was
			e.State.Revision = c.Revision
		default:
			continue
		}
		out = append(out, transition{c.Revision, e})
	}
	return out
}

// Judge compares all that a client with a selector was told with the history, and says what is wrong.
func (h *History) Judge(s Selector, episodes []Episode) (wrong []string) {
	all := transitions(h.of(s.Resource), s)
	for i, e := range episodes {
		var found []string
		switch {
		case e.Ending == Refused || e.Ending == Later:
		case e.List:
			found = judgeList(all, &e)
		case e.After > 0:
			found = judgeEvents(all, e.After, e.Events)
		default:
			found = judgeFromState(all, &e)
		}
		for _, f := range found {
			wrong = append(wrong, fmt.Sprintf("%v, episode %d (after %d): %s", s, i, e.After, f))
		}
	}
	return wrong
}

// judgeEvents holds events against the transitions after a revision.
func judgeEvents(all []transition, after int64, events []Event) (wrong []string) {
	next := sort.Search(len(all), func(i int) bool { return all[i].revision > after })
	last := after
	for n, e := range events {
		if e.Type == bookmark {
			if e.State.Revision < last {
				wrong = append(wrong, fmt.Sprintf("event %d: a bookmark leads back from %d to %d", n, last, e.State.Revision))
			}
			for ; next < len(all) && all[next].revision <= e.State.Revision; next++ {
				wrong = append(wrong, fmt.Sprintf("event %d: a bookmark at %d promises %v, which never came", n, e.State.Revision, all[next].event))
			}
			last = max(last, e.State.Revision)
			continue
		}
		if next < len(all) && told(all[next], e) {
			last = all[next].revision
			next++
			continue
		}
		later := slices.IndexFunc(all[min(next, len(all)):], func(t transition) bool { return told(t, e) })
		switch {
		case later > 0:
			wrong = append(wrong, fmt.Sprintf("event %d: %d changes are missing before %v, first %v", n, later, e, all[next].event))
			next += later + 1
			last = e.State.Revision
		case slices.ContainsFunc(all[:min(next, len(all))], func(t transition) bool { return told(t, e) }):
			wrong = append(wrong, fmt.Sprintf("event %d: %v comes again, or late: %d was reached", n, e, last))
		default:
			wrong = append(wrong, fmt.Sprintf("event %d: %v never happened", n, e))
		}
	}
	return wrong
}

func told(t transition, e Event) bool { return t.event.Type == e.Type && t.event.State.same(e.State) }

// at is the state that a selector sees after some transitions.
func at(all []transition) map[string]State {
	state := map[string]State{}
	for _, t := range all {
		apply(state, t)
	}
	return state
}

func apply(state map[string]State, t transition) {
	if t.event.Type == deleted {
		delete(state, t.event.State.Key)
	} else {
		state[t.event.State.Key] = t.event.State
	}
}

// judgeState compares a state with additions.
func judgeState(state map[string]State, events []Event) (wrong []string) {
	state = maps.Clone(state)
	for _, e := range events {
		want, ok := state[e.State.Key]
		if e.Type != added || !ok || !want.same(e.State) {
			wrong = append(wrong, fmt.Sprintf("%v is not of the state; there it is %v", e, want))
			continue
		}
		delete(state, e.State.Key)
	}
	for _, s := range state {
		wrong = append(wrong, fmt.Sprintf("the state lacks %v", s))
	}
	return wrong
}

// upTo is how many transitions had happened at a revision.
func upTo(all []transition, revision int64) int {
	return sort.Search(len(all), func(i int) bool { return all[i].revision > revision })
}

func judgeList(all []transition, e *Episode) []string {
	wrong := judgeState(at(all[:upTo(all, e.Revision)]), e.Events)
	if e.Revision < e.Floor {
		wrong = append(wrong, fmt.Sprintf("the list is of %d; when it was asked for, etcd was at %d", e.Revision, e.Floor))
	}
	return wrong
}

// judgeFromState judges a watch that begins with the state of a revision which only a bookmark would tell.
func judgeFromState(all []transition, e *Episode) []string {
	if i := slices.IndexFunc(e.Events, func(e Event) bool { return e.Whole }); i >= 0 {
		revision := e.Events[i].State.Revision
		wrong := judgeState(at(all[:upTo(all, revision)]), e.Events[:i])
		if revision < e.Floor {
			wrong = append(wrong, fmt.Sprintf("the state is of %d; when it was asked for, etcd was at %d", revision, e.Floor))
		}
		return append(wrong, judgeEvents(all, revision, e.Events[i+1:])...)
	}
	var nearest []string
	state := at(all[:upTo(all, e.Floor)])
	for n := upTo(all, e.Floor); ; n++ {
		whole := n == 0 || n == len(all) || all[n].revision > all[n-1].revision
		if size := min(len(state), len(e.Events)); whole && additions(state, e.Events[:size]) {
			revision := e.Floor
			if n > 0 {
				revision = max(revision, all[n-1].revision)
			}
			wrong := judgeEvents(all, revision, e.Events[size:])
			if len(wrong) == 0 {
				return nil
			}
			if nearest == nil || len(wrong) < len(nearest) {
				nearest = wrong
			}
		}
		if n == len(all) {
			break
		}
		apply(state, all[n])
	}
	if nearest == nil {
		return []string{fmt.Sprintf("its %d events begin with no state that ever was since %d", len(e.Events), e.Floor)}
	}
	return nearest
}

// additions says whether events are different objects of a state. They are all of it, or the stream was cut off.
func additions(state map[string]State, events []Event) bool {
	seen := map[string]bool{}
	for _, e := range events {
		if want, ok := state[e.State.Key]; e.Type != added || !ok || seen[e.State.Key] || !want.same(e.State) {
			return false
		}
		seen[e.State.Key] = true
	}
	return true
}

// Outage is a time in which a server was being stopped and started.
type Outage struct {
	Server   int
	From, To time.Time
}

// mostPutOff is how long a client may be told, again and again, to ask later: a slow machine is no fault.
const mostPutOff = 2 * time.Minute

// JudgeEndings finds what ended without a word that the client understands: neither at its time, nor because its
// server was stopped, nor with the advice to begin anew, or to ask again, which must come to an end.
func JudgeEndings(episodes []Episode, outages []Outage) (wrong []string) {
	var putOff time.Time // since when
	for i, e := range episodes {
		if e.Ending != Later {
			putOff = time.Time{}
		} else if putOff.IsZero() {
			putOff = e.Begun
		}
		excused := e.Ending == Expired || e.Ending == Left || e.List && e.Ending == Ended ||
			e.Ending == Ended && e.Asked > 0 && e.Over.Sub(e.Begun) >= e.Asked ||
			e.Ending == Later && e.Over.Sub(putOff) <= mostPutOff
		for _, o := range outages {
			excused = excused || o.Server == e.Server && o.From.Before(e.Over) && e.Begun.Before(o.To)
		}
		if !excused {
			wrong = append(wrong, fmt.Sprintf("episode %d %s after %v of %v: %s", i, e.Ending, e.Over.Sub(e.Begun), e.Asked, e.Why))
		}
	}
	return wrong
}
