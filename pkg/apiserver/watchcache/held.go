package watchcache

import "sync/atomic"

// defaultBudget is how many bytes of forms that can be made again (decoded objects, JSON, deflated blocks) are
// kept for all entries together. What is stored is held besides.
const defaultBudget = 64 << 20

// held counts the bytes of the forms of all entries. Counts are estimates: a sweep sets them right.
type held struct {
	bytes  atomic.Int64
	budget int64
	over   chan struct{} // tells the sweeper
}

func newHeld(budget int64) *held { return &held{budget: budget, over: make(chan struct{}, 1)} }

func (h *held) add(n int) {
	if h != nil && h.bytes.Add(int64(n)) > h.budget {
		select {
		case h.over <- struct{}{}:
		default: // it was told
		}
	}
}

// decodedSize estimates what an object takes that was decoded from a value: measured of pods and config maps,
// three to five times as much.
func decodedSize(value []byte) int { return 4 * len(value) }

// size is about what the forms of an entry take.
func (e *Entry) size() (n int) {
	if e.object.Load() != nil {
		n = decodedSize(e.value)
	}
	for i := range e.forms {
		if b := e.forms[i].Load(); b != nil {
			n += len(*b)
		}
		if b := e.blocks[i].Load(); b != nil {
			n += len(b.Deflated)
		}
	}
	return n
}

// drop lets go of all that can be made again.
func (e *Entry) drop() {
	e.object.Store(nil)
	for i := range e.forms {
		e.forms[i].Store(nil)
		e.blocks[i].Store(nil)
	}
	e.derived.Clear()
}

// slim lets go of what deflated blocks stand for: lists need no more than those.
func (e *Entry) slim() {
	e.object.Store(nil)
	for i := range e.forms {
		e.forms[i].Store(nil)
	}
	e.derived.Clear()
}

// sweepAll drops forms that nobody used since the last time. Where what is left is over the budget, used
// ones go too: first all but the blocks of lists, then those.
func (c *Cache) sweepAll() {
	c.mu.RLock()
	stores := make([]*Store, 0, len(c.stores))
	for _, s := range c.stores {
		stores = append(stores, s)
	}
	c.mu.RUnlock()
	total := 0
	every := func(do func(*Entry)) {
		for _, s := range stores {
			s.Snapshot().Ascend("", "", func(e *Entry) bool { do(e); return true })
		}
	}
	every(func(e *Entry) { e.forget(); total += e.size() })
	for _, less := range []func(*Entry){(*Entry).slim, (*Entry).drop} {
		every(func(e *Entry) {
			if int64(total) > c.held.budget/2 {
				total -= e.size()
				less(e)
				total += e.size()
			}
		})
	}
	c.held.bytes.Store(int64(total))
}
