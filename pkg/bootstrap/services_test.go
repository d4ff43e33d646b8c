package bootstrap

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

func TestWhatIsMissingIsToldWhenTimeIsUp(t *testing.T) {
	m := &machine{clock: clock.RealClock{}}
	missing := errors.New("no pod network yet")
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := m.await(ctx, time.Millisecond, func(ctx context.Context) error {
		if tries++; tries == 1 {
			return missing
		}
		cancel() // as where time runs out while a request is under way
		return ctx.Err()
	})
	if !errors.Is(err, missing) {
		t.Errorf("after %d tries the error is %v, want %v", tries, err, missing)
	}
}
