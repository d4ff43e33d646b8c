package watchcache

import (
	"sync"
	"sync/atomic"
)

// made keeps what is made of entries and could be made again. It has two generations: what is made or asked for
// belongs to the young one. When that is half of the budget it becomes the old one, and what was the old one is
// let go of. So what nobody asked for while others filled half of the budget is gone, and nothing is searched for it.
type made struct {
	budget func() int64

	mu         sync.Mutex
	young, old map[formKey]*form
	bytes      int64 // of young
}

// formKey names a form of a run of neighbours: its kind, the first entry, the last one, and how many they are.
type formKey struct {
	kind        any
	first, last uint64
	n           int
}

// form is one thing that was made.
type form struct {
	ids   []uint64 // of a run of several entries: those that it was made of
	mu    sync.Mutex
	value atomic.Pointer[any]
	size  int64 // guarded by made.mu
}

func newMade(budget func() int64) *made {
	return &made{budget: budget, young: map[formKey]*form{}, old: map[formKey]*form{}}
}

func keyOf(kind any, run []*Entry) formKey {
	return formKey{kind, run[0].id, run[len(run)-1].id, len(run)}
}

// get gives a form of a run. The first who asks makes it, and others wait for that. size is what it takes.
func (m *made) get(kind any, run []*Entry, make func() (value any, size int, err error)) (any, error) {
	return m.getWhere(kind, run, func(any) bool { return true }, make)
}

// getWhere is get for a form that must be made anew where it does not serve any more.
func (m *made) getWhere(kind any, run []*Entry, serves func(any) bool, make func() (value any, size int, err error)) (any, error) {
	key := keyOf(kind, run)
	f := m.find(key, run)
	if v := f.value.Load(); v != nil && serves(*v) {
		return *v, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.value.Load(); v != nil && serves(*v) {
		return *v, nil
	}
	v, size, err := make()
	if err != nil {
		return nil, err
	}
	f.value.Store(&v)
	m.weigh(key, f, int64(size))
	return v, nil
}

// peek gives a form that is there, and leaves it in its generation; nil where there is none.
func (m *made) peek(kind any, run []*Entry) any {
	key := keyOf(kind, run)
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.young[key]
	if f == nil {
		f = m.old[key]
	}
	if f == nil || !f.of(run) {
		return nil
	}
	if v := f.value.Load(); v != nil {
		return *v
	}
	return nil
}

// put keeps a form that was made elsewhere.
func (m *made) put(kind any, e *Entry, value any, size int) {
	key := formKey{kind, e.id, e.id, 1}
	f := &form{}
	f.value.Store(&value)
	m.mu.Lock()
	m.young[key] = f
	m.mu.Unlock()
	m.weigh(key, f, int64(size))
}

// find gives the form with a key, made young; where there is none, one that is yet to be made.
func (m *made) find(key formKey, run []*Entry) *form {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.young[key]; f != nil && f.of(run) {
		return f
	}
	f := m.old[key]
	if f == nil || !f.of(run) {
		f = newForm(run)
	}
	m.remove(key)
	m.young[key] = f
	m.bytes += f.size
	m.rotate()
	return f
}

func newForm(run []*Entry) *form {
	f := &form{}
	if len(run) > 1 {
		f.ids = make([]uint64, len(run))
		for i, e := range run {
			f.ids[i] = e.id
		}
	}
	return f
}

// of says whether a form was made of a run, of which the ends are known to be the same.
func (f *form) of(run []*Entry) bool {
	for i, id := range f.ids {
		if run[i].id != id {
			return false
		}
	}
	return true
}

// weigh tells what a form takes.
func (m *made) weigh(key formKey, f *form, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := size - f.size
	f.size = size
	if m.young[key] == f { // it may have grown old meanwhile
		m.bytes += more
		m.rotate()
	}
}

// rotate begins a new generation where the young one is full.
func (m *made) rotate() {
	if m.bytes > m.budget()/2 {
		m.age()
	}
}

func (m *made) age() { m.young, m.old, m.bytes = map[formKey]*form{}, m.young, 0 }

// grow begins a new generation because time has passed.
func (m *made) grow() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age()
}

// forget lets go of forms of an entry.
func (m *made) forget(e *Entry, kinds ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range kinds {
		m.remove(formKey{k, e.id, e.id, 1})
	}
}

func (m *made) remove(key formKey) {
	if f := m.young[key]; f != nil {
		m.bytes -= f.size
		delete(m.young, key)
	}
	delete(m.old, key)
}

// total is what all forms take.
func (m *made) total() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.old {
		n += f.size
	}
	return n + m.bytes
}
