package watchcache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnAnswerIsNotOlderThanItsQuestion holds the first question open, lets many ask meanwhile, and sees them
// all answered by one further question, which was put after they came.
func TestAnAnswerIsNotOlderThanItsQuestion(t *testing.T) {
	asked, release := make(chan int64, 100), make(chan struct{})
	var count int64
	q := &question{ask: func(context.Context) (int64, error) {
		count++ // one at a time
		asked <- count
		<-release
		return count, nil
	}}
	ask := func(into *int64, wait *sync.WaitGroup) {
		wait.Go(func() {
			var err error
			if *into, err = q.revision(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	var first int64
	var firstDone, othersDone sync.WaitGroup
	ask(&first, &firstDone)
	<-asked // the first question is with etcd
	others := make([]int64, 50)
	for i := range others {
		ask(&others[i], &othersDone)
	}
	for waiting := false; !waiting; { // until one of them waits for the next
		q.mu.Lock()
		waiting = q.next != nil
		q.mu.Unlock()
	}
	close(release)
	firstDone.Wait()
	othersDone.Wait()
	if first != 1 {
		t.Errorf("the first was answered by question %d", first)
	}
	for i, revision := range others {
		if revision < 2 {
			t.Errorf("%d was answered by question %d, which was put before it asked", i, revision)
		}
	}
}

func TestWhoWaitsForAnAnswerMayGo(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	q := &question{ask: func(context.Context) (int64, error) { <-release; return 1, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.revision(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the asker has gone", err)
	}
}

// TestAQuestionThatEtcdDoesNotAnswerIsPutAgain while somebody waits, who has an end of its own.
func TestAQuestionThatEtcdDoesNotAnswerIsPutAgain(t *testing.T) {
	for patience, answered := range map[time.Duration]bool{askFor / 2: false, 2 * askFor: true} {
		synctest.Test(t, func(t *testing.T) {
			questions := 0
			q := &question{ask: func(ctx context.Context) (int64, error) {
				if questions++; questions == 2 {
					return 7, nil
				}
				<-ctx.Done()
				return 0, ctx.Err()
			}}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			revision, err := q.revision(ctx)
			if answered && (revision != 7 || err != nil) || !answered && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %s: %d, %v", patience, revision, err)
			}
			time.Sleep(askFor) // the first question's
		})
	}
}

func TestManyWhoAskAreAnsweredByFewQuestionsAndFewWithoutDelay(t *testing.T) {
	const each, takes = 100, 300 * time.Microsecond
	for clients, want := range map[int]struct {
		questions int
		within    time.Duration
	}{1: {each, each * takes}, 3: {2 * each, (2*each + 1) * takes}, 16: {each + 10, (each + 10) * (takes + pause)}} {
		synctest.Test(t, func(t *testing.T) {
			questions := 0
			q := question{ask: func(context.Context) (int64, error) {
				questions++
				time.Sleep(takes)
				return int64(questions), nil
			}}
			begun := time.Now()
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					for range each {
						time.Sleep(time.Duration(i) * takes / 16) // they do not ask at once
						if _, err := q.revision(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if took := time.Since(begun); questions > want.questions || took > want.within {
				t.Errorf("%d clients: %d questions in %v", clients, questions, took)
			}
			time.Sleep(pause) // the last question's
		})
	}
}
