package resource

import "context"

// allocation is what a write has taken outside of its object's key.
type allocation struct {
	undo, release func() // nil: nothing is to be done
	stands        bool
}

// allocate takes what an object needs outside of its key.
func (s *Store) allocate(ctx context.Context, a *allocation, obj, old Object, dryRun bool) (err error) {
	if s.Allocate != nil {
		a.undo, a.release, err = s.Allocate(ctx, obj, old, dryRun)
	}
	return err
}

// stood says that the object was written: what the one before held alone is free.
func (a *allocation) stood() {
	a.stands = true
	if a.release != nil {
		a.release()
	}
}

// end gives back what was taken, unless the object was written, or may have been: what is taken for that is not given to
// others.
func (a *allocation) end(w *Write) {
	if !a.stands && !w.unknown && a.undo != nil {
		a.undo()
	}
}
