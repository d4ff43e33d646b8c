package admission

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bounds are the upper ends of the buckets in which the times of rules are counted, upstream's. What takes longer than
// the last counts in a bucket of its own.
var bounds = [...]time.Duration{
	5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
}

// histogram counts times. Most rules take less than it takes to find a series by its labels.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // each without those below it
	sum     atomic.Int64                   // in nanoseconds
}

func (h *histogram) observe(took time.Duration) {
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(took))
}

func (h *histogram) reset() {
	for i := range h.buckets {
		h.buckets[i].Store(0)
	}
	h.sum.Store(0)
}

// The steps of admission, in upstream's words by stepNames.
const (
	admitting = iota
	validating
)

var stepNames = [...]string{admitting: "admit", validating: "validate"}

// timings are how long a rule, or a whole step, took: by step, by operation, and by whether it refused.
type timings [len(stepNames)][len(operations)][2]histogram

// collect gives the series in which something was counted. The labels are those of the description.
func (t *timings) collect(to chan<- prometheus.Metric, desc *prometheus.Desc, labels ...string) {
	for step, byOperation := range stepNames {
		for op, name := range operations {
			for refused := range 2 {
				h := &t[step][op][refused]
				buckets, count := map[float64]uint64{}, uint64(0)
				for i := range h.buckets {
					if count += h.buckets[i].Load(); i < len(bounds) {
						buckets[bounds[i].Seconds()] = count
					}
				}
				if count > 0 {
					sum := time.Duration(h.sum.Load()).Seconds()
					of := append(labels[:len(labels):len(labels)], byOperation, string(name), strconv.FormatBool(refused == 1))
					to <- prometheus.MustNewConstHistogram(desc, count, sum, buckets, of...)
				}
			}
		}
	}
}

func (t *timings) reset() {
	for step := range t {
		for op := range t[step] {
			for refused := range t[step][op] {
				t[step][op][refused].reset()
			}
		}
	}
}

// Metrics are how long the rules of a chain take, under upstream's names. Rules without a name count in the whole alone.
type Metrics struct {
	whole, one *prometheus.Desc
	steps      *timings
	plugins    []Plugin
}

// Measured gives a chain whose rules are timed, and what was counted of them.
func Measured(plugins []Plugin) (Chain, *Metrics) {
	m := &Metrics{
		whole: prometheus.NewDesc("apiserver_admission_step_admission_duration_seconds",
			"How long all rules together took to change or to judge a write, in seconds.",
			[]string{"type", "operation", "rejected"}, nil),
		one: prometheus.NewDesc("apiserver_admission_controller_admission_duration_seconds",
			"How long a rule took to change or to judge a write, in seconds.",
			[]string{"name", "type", "operation", "rejected"}, nil),
		steps: &timings{},
	}
	for _, p := range plugins {
		if p.Name != "" {
			p.took = &timings{}
		}
		m.plugins = append(m.plugins, p)
	}
	return Chain{Plugins: m.plugins, steps: m.steps}, m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) { to <- m.whole; to <- m.one }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.steps.collect(to, m.whole)
	for _, p := range m.plugins {
		if p.took != nil {
			p.took.collect(to, m.one, p.Name)
		}
	}
}

// Reset lets counting begin anew.
func (m *Metrics) Reset() {
	m.steps.reset()
	for _, p := range m.plugins {
		if p.took != nil {
			p.took.reset()
		}
	}
}

// stopwatch times one step of one write. Between two rules it reads the clock once.
type stopwatch struct {
	steps           *timings // nil: nobody wants to know
	step, operation int
	begun           time.Time
	lap             time.Duration // since begun, when the last rule was done
}

func (c Chain) start(step int, o Operation) stopwatch {
	w := stopwatch{steps: c.steps, step: step, operation: o.index()}
	if w.steps != nil {
		w.begun = time.Now()
	}
	return w
}

// done counts what a rule took.
func (w *stopwatch) done(p *Plugin, err error) {
	if w.steps == nil {
		return
	}
	now := time.Since(w.begun)
	if p.took != nil {
		w.count(p.took, now-w.lap, err)
	}
	w.lap = now
}

// end counts what the step took.
func (w *stopwatch) end(err error) {
	if w.steps != nil {
		w.count(w.steps, w.lap, err)
	}
}

func (w *stopwatch) count(of *timings, took time.Duration, err error) {
	refused := 0
	if err != nil {
		refused = 1
	}
	of[w.step][w.operation][refused].observe(took)
}
