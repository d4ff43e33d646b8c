package pods

import "sync"

// SlowStart calls do count times, in batches of 1, 2, 4 ... that run at once, and stops after the first
// batch with an error: a quota that refuses one pod must not be asked a thousand times. It answers how
// many succeeded and the first error.
func SlowStart(count int, do func(i int) error) (int, error) {
	done, started := 0, 0
	for batch := 1; started < count; batch *= 2 {
		n := min(batch, count-started)
		errs := make([]error, n)
		var running sync.WaitGroup
		for i := range n {
			running.Go(func() { errs[i] = do(started + i) })
		}
		running.Wait()
		started += n
		var first error
		for _, err := range errs {
			if err == nil {
				done++
			} else if first == nil {
				first = err
			}
		}
		if first != nil {
			return done, first
		}
	}
	return done, nil
}
