package resources

import (
	"testing"
)

// TestRowsCanBeMadeOfObjectsWithNothingInThem holds what bookmarks of tables need: an object with a version alone.
func TestRowsCanBeMadeOfObjectsWithNothingInThem(t *testing.T) {
	for _, r := range All(testDeps()) {
		if r.Row == nil {
			continue
		}
		obj := r.New()
		obj.GetObjectKind().SetGroupVersionKind(r.Kind)
		obj.SetResourceVersion("5")
		if r.Default != nil {
			r.Default(obj)
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: %v", r.Plural, p)
				}
			}()
			if cells := r.Row(obj); len(cells) < len(r.Columns) { // addresses have an age without a column, as upstream's
				t.Errorf("%s: %d cells in %d columns", r.Plural, len(cells), len(r.Columns))
			}
		}()
	}
}
