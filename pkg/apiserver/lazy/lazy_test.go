package lazy_test

import (
	"errors"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/lazy"
)

func TestAValueIsMadeOnceAndAgainWhereThatFailed(t *testing.T) {
	away := errors.New("away")
	calls, failing := 0, true
	get := lazy.Func(func() (int, error) {
		if calls++; failing {
			return 1, away
		}
		return 2, nil
	})
	if v, err := get(); v != 0 || !errors.Is(err, away) {
		t.Errorf("a failure gives %d, %v", v, err)
	}
	failing = false
	for range 2 {
		if v, err := get(); v != 2 || err != nil {
			t.Errorf("what was made is %d, %v", v, err)
		}
	}
	if calls != 2 {
		t.Errorf("made by %d calls, want 2", calls)
	}
}
