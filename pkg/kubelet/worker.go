package kubelet

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
	"github.com/sampan-project/sampan/pkg/kubelet/status"
)

// mail is what was told to a worker since it last looked.
type mail struct {
	pod     *corev1.Pod
	static  bool
	gone    bool            // from its source
	again   *corev1.Pod     // set again after it was gone
	dirty   map[string]bool // ids of what has changed in the runtime; "": anything
	ended   []string        // ids of the containers whose stopping is over
	refresh bool            // objects that the pod refers to changed
	sweep   bool
}

func (m *mail) mark(id string) {
	if m.dirty == nil {
		m.dirty = map[string]bool{}
	}
	m.dirty[id] = true
}

// worker runs one pod: it looks, has the state machine decide, carries that out, and sleeps until it is told
// something or a time comes. One goroutine owns all but what mu guards.
type worker struct {
	*Engine
	uid  types.UID
	wake chan struct{} // holds one: there is mail

	mu     sync.Mutex
	mail   mail
	named  types.NamespacedName
	ending bool               // as others may see it
	busy   context.CancelFunc // ends the step that is under way; nil between steps
	saw    pod.Observed       // as others may see it
	status corev1.PodStatus   // as others may see it
	spec   *corev1.Pod        // as others may see it
	room   *corev1.Pod        // while it takes up room on the node

	pod      *corev1.Pod
	static   bool
	gone     bool
	admitted bool
	seen     bool // observed is true of the runtime
	observed pod.Observed
	failed   *pod.Reason
	final    bool // its phase is: nothing of it runs again
	cleaned  bool // nothing of it is left but what is kept for its logs
	volumes  bool // they are set up
	started  time.Time
	backoff  map[string]pod.Backoff
	failures map[string]pod.Failure
	waiting  map[string]time.Time // whose back-off was told of
	stopping map[string]time.Time // when what is being stopped will be killed, by id
	last     pod.Actions

	sandboxRetry, volumesRetry, lookRetry, stopRetry backoffTimer
}

// backoffTimer spaces out attempts at something that failed.
type backoffTimer struct {
	delay time.Duration
	at    time.Time
}

func (b *backoffTimer) failed(now time.Time, first, last time.Duration) {
	b.delay = min(max(2*b.delay, first), last)
	b.at = now.Add(b.delay)
}

func (b *backoffTimer) ok() { *b = backoffTimer{} }

func (b *backoffTimer) waits(now time.Time) bool { return b.at.After(now) }

func newWorker(e *Engine, uid types.UID) *worker {
	return &worker{
		Engine: e, uid: uid, wake: make(chan struct{}, 1), started: e.Clock.Now(),
		backoff: map[string]pod.Backoff{}, failures: map[string]pod.Failure{},
		waiting: map[string]time.Time{}, stopping: map[string]time.Time{},
	}
}

// tell changes the worker's mail and wakes it. News that ends the pod ends what the worker is busy with.
func (w *worker) tell(change func(*mail)) {
	w.mu.Lock()
	change(&w.mail)
	if p := w.mail.pod; p != nil {
		w.named = types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
		if (w.mail.gone || p.DeletionTimestamp != nil) && !w.ending {
			w.ending = true
			if w.busy != nil {
				w.busy()
			}
		}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) isNamed(namespace, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.named == types.NamespacedName{Namespace: namespace, Name: name}
}

func (w *worker) isEnding() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ending
}

// agrees says whether what the runtime lists is what the worker last saw.
func (w *worker) agrees(listed *pod.Observed) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(listed.Containers) != len(w.saw.Containers) || len(listed.Sandboxes) != len(w.saw.Sandboxes) {
		return false
	}
	states := map[string]pod.State{}
	for _, c := range w.saw.Containers {
		states[c.ID] = c.State
	}
	for _, c := range listed.Containers {
		if s, ok := states[c.ID]; !ok || s != c.State {
			return false
		}
	}
	ready := map[string]bool{}
	for _, s := range w.saw.Sandboxes {
		ready[s.ID] = s.Ready
	}
	for _, s := range listed.Sandboxes {
		if r, ok := ready[s.ID]; !ok || r != s.Ready {
			return false
		}
	}
	return true
}

// run works until the pod is gone or ctx ends.
func (w *worker) run(ctx context.Context) {
	defer w.all.Done()
	timer := w.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C():
		}
		next, done := w.turn(ctx)
		if done {
			w.drop(w)
			if again := w.takeAgain(); again != nil {
				w.Set(again, w.static)
			}
			return
		}
		if next.IsZero() {
			next = w.Clock.Now().Add(time.Hour)
		}
		timer.Stop()
		timer.Reset(max(0, next.Sub(w.Clock.Now())))
	}
}

func (w *worker) takeAgain() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mail.again
}

// turn takes the mail and goes one step. It answers when to look again without being told, and whether
// nothing is left to do for ever.
func (w *worker) turn(ctx context.Context) (next time.Time, done bool) {
	m := w.takeMail()
	if w.pod == nil {
		return time.Time{}, false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	w.busy = cancel
	if w.isOver() {
		w.busy, w.ending = nil, true // what ends a pod is not cut short
	}
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.busy = nil; w.mu.Unlock() }()
	if err := w.look(ctx, m.dirty); err != nil {
		w.Log.V(1).Info("The runtime could not be asked about a pod", "pod", w.name(), "err", err)
		w.lookRetry.failed(w.Clock.Now(), time.Second, 10*time.Second)
		w.seen = false
		return w.lookRetry.at, false
	}
	w.lookRetry.ok()
	if m.sweep {
		w.removeOld(ctx)
	}
	if w.isOver() {
		return w.end(ctx)
	}
	next = w.live(ctx, m.refresh)
	if w.isOver() { // it turned out so
		return w.Clock.Now(), false
	}
	return next, false
}

// takeMail empties the mailbox, but for what stays true.
func (w *worker) takeMail() mail {
	w.mu.Lock()
	m := w.mail
	w.mail = mail{gone: m.gone, again: m.again, static: m.static}
	w.mu.Unlock()
	if m.pod != nil {
		w.take(m.pod)
	}
	w.static, w.gone = m.static, m.gone
	for _, id := range m.ended {
		delete(w.stopping, id)
	}
	return m
}

// take makes p the pod that is worked on.
func (w *worker) take(p *corev1.Pod) {
	first := w.pod == nil
	if !first {
		p = withStatus(p, &w.pod.Status)
	}
	w.pod = p
	if pod.IsTerminal(p.Status.Phase) {
		w.final = true
	}
	if first {
		if t := p.Status.StartTime; t != nil {
			w.started = t.Time
		}
	}
	for name := range w.failures { // what could not be started may be another now
		if c := pod.Find(p, name); c == nil {
			delete(w.failures, name)
		}
	}
}

// withStatus is p with the status that this kubelet last worked out, which the apiserver may not have yet;
// what others have to say of it comes from p: an end that was decided elsewhere, conditions.
func withStatus(p *corev1.Pod, ours *corev1.PodStatus) *corev1.Pod {
	merged := *p
	ours.DeepCopyInto(&merged.Status)
	if pod.IsTerminal(p.Status.Phase) && !pod.IsTerminal(ours.Phase) {
		merged.Status.Phase, merged.Status.Reason, merged.Status.Message = p.Status.Phase, p.Status.Reason, p.Status.Message
	}
	merged.Status.Conditions = status.Merge(p.Status.Conditions, ours.Conditions)
	return &merged
}

func (w *worker) name() string { return w.pod.Namespace + "/" + w.pod.Name }

// isOver says whether the pod is to end, or has ended.
func (w *worker) isOver() bool {
	return w.gone || w.final || w.failed != nil || w.pod.DeletionTimestamp != nil
}

// look brings what is known of the runtime up to date.
func (w *worker) look(ctx context.Context, dirty map[string]bool) error {
	if w.seen && len(dirty) == 0 {
		return nil
	}
	if !w.seen || dirty[""] {
		return w.lookAtAll(ctx)
	}
	for id := range dirty {
		if err := w.lookAt(ctx, id); err != nil {
			return err
		}
	}
	w.show()
	return nil
}

func (w *worker) lookAtAll(ctx context.Context) error {
	o, err := w.Runtime.Observe(ctx, w.uid, &w.observed)
	if err != nil {
		return err
	}
	for _, c := range o.Containers {
		w.Own(w.uid, c.ID)
	}
	for _, s := range o.Sandboxes {
		w.Own(w.uid, s.ID)
	}
	w.observed, w.seen = o, true
	w.show()
	return nil
}

// lookAt brings one sandbox or container up to date. One that is not known makes all be looked at.
func (w *worker) lookAt(ctx context.Context, id string) error {
	for _, c := range w.observed.Containers {
		if c.ID != id {
			continue
		}
		if c.State == pod.Exited {
			return nil
		}
		now, err := w.Runtime.Container(ctx, id, c.SandboxID)
		if err != nil {
			return w.lookAtAll(ctx)
		}
		w.observed.Put(now)
		if now.State == pod.Exited {
			// Its sandbox may have ended first, which may be heard of later: nothing is to be started in it.
			return w.lookAt(ctx, c.SandboxID)
		}
		return nil
	}
	for _, s := range w.observed.Sandboxes {
		if s.ID != id {
			continue
		}
		now, err := w.Runtime.Sandbox(ctx, id)
		if err != nil {
			return w.lookAtAll(ctx)
		}
		w.observed.PutSandbox(now)
		return nil
	}
	return w.lookAtAll(ctx)
}

// show lets others see what the worker knows, and tells those that wait for a container's end.
func (w *worker) show() {
	o := w.observed.Clone()
	w.mu.Lock()
	w.saw = o
	w.mu.Unlock()
	for i := range o.Containers {
		if o.Containers[i].State == pod.Exited {
			w.tellEnd(o.Containers[i].ID)
		}
	}
}

// tellEnd tells those that wait for a container's end.
func (e *Engine) tellEnd(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ch := range e.waiters[id] {
		close(ch)
	}
	delete(e.waiters, id)
}
