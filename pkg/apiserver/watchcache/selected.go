package watchcache

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Select calls f for each entry that is selected and whose key is not before from, in order, until it answers false.
// It looks at no more of the store than the indexes tell it to.
func (n *Snapshot) Select(w Selection, from string, f func(*Entry) bool) {
	visit := func(e *Entry) bool { return !w.Matches(e) || f(e) }
	if w.IndexField != "" {
		if part, ok := n.ByIndex(w.IndexField, w.IndexValue); ok {
			part.Ascend(w.Prefix, from, visit)
			return
		}
	}
	if found, ok := n.labelled(w.Labels, max(w.Prefix, from), w.Prefix); ok {
		for _, e := range found {
			if !visit(e) {
				return
			}
		}
		return
	}
	n.Ascend(w.Prefix, from, visit)
}

// Follows says whether an entry, selected or not, stands behind a key where selected ones are looked for.
func (n *Snapshot) Follows(w Selection, key string) (follows bool) {
	if w.Exact {
		return false
	}
	among := n
	if part, ok := n.ByIndex(w.IndexField, w.IndexValue); ok {
		among = part
	}
	among.Ascend(w.Prefix, key+"\x00", func(*Entry) bool {
		follows = true
		return false
	})
	return follows
}

// byLabels orders entries by their labels, and those with the same by key.
func byLabels(a, b *Entry) bool {
	if a.labels == b.labels {
		return a.key < b.key
	}
	return a.labels.text.Value() < b.labels.text.Value()
}

func newLabelTree() *btree.BTreeG[*Entry] { return btree.NewG(32, byLabels) }

// mostLabelled is the part of all entries, one in so many, that is gathered by labels: to look at all of them in the
// order of keys is better than to put more in that order.
const mostLabelled = 4

// afterKeys stands after every key.
const afterKeys = "\xff"

// labelled gives the entries under a prefix, from a key on, whose labels match. It tries each set of labels once, and
// passes over the entries of one that does not match. ok is false where that would not help.
func (n *Snapshot) labelled(sel labels.Selector, from, prefix string) (found []*Entry, ok bool) {
	if n.labels == nil || sel == nil || !narrow(sel) {
		return nil, false
	}
	most := n.labels.Len() / mostLabelled
	const few = 8 // entries that are looked at rather than passed over
	at, sets, done := &Entry{labels: noPairs}, 0, false
	for !done {
		var present Pairs
		matches, seen := false, 0
		done = true
		n.labels.AscendGreaterOrEqual(at, func(e *Entry) bool {
			if e.labels != present {
				present, matches, seen = e.labels, sel.Matches(e.labels), 0
				if matches {
					sets++
				}
			}
			switch {
			case matches && e.key >= from && strings.HasPrefix(e.key, prefix):
				found = append(found, e)
				return len(found) <= most
			case matches && e.key < from:
				at, done = &Entry{labels: present, key: from}, false
				return false
			}
			if seen++; seen > few {
				at, done = &Entry{labels: present, key: afterKeys}, false
			}
			return done
		})
	}
	if len(found) > most {
		return nil, false
	}
	if sets > 1 {
		slices.SortFunc(found, func(a, b *Entry) int { return cmp.Compare(a.key, b.key) })
	}
	return found, true
}

// narrow says whether a selector demands a label.
func narrow(sel labels.Selector) bool {
	requirements, _ := sel.Requirements()
	return slices.ContainsFunc(requirements, func(r labels.Requirement) bool {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In, selection.Exists:
			return true
		}
		return false
	})
}
