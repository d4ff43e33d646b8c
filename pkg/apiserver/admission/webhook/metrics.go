package webhook

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// Metrics counts what webhooks are asked, under upstream's names. nil counts nothing.
type Metrics struct {
	duration           *prometheus.HistogramVec
	rejected, passedOn *prometheus.CounterVec
}

// mostRefusalCode is the highest status code that is counted by itself; those above it count as this one, so that a
// webhook cannot make as many series as it likes.
const mostRefusalCode = 600

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_admission_webhook_admission_duration_seconds", Help: "How long webhooks took to answer, in seconds.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25},
		}, []string{"name", "type", "operation", "rejected"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_admission_webhook_rejection_count", Help: "Writes that webhooks refused, or that were refused because one gave no answer.",
		}, []string{"name", "type", "operation", "error_type", "rejection_code"}),
		passedOn: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_admission_webhook_fail_open_count", Help: "Webhooks that gave no answer and were passed over.",
		}, []string{"name", "type"}),
	}
	r.MustRegister(m.duration, m.rejected, m.passedOn)
	return m
}

// step is what metrics call the two halves of admission.
func step(mutating bool) string {
	if mutating {
		return "admit"
	}
	return "validating"
}

// asked counts a question that has been answered, or not.
func (m *Metrics) asked(h *hook, a *admission.Attributes, mutating bool, took time.Duration, err error) {
	if m == nil {
		return
	}
	operation, refused := string(a.Operation), err != nil && (!ignorable(err) || !h.ignore)
	m.duration.WithLabelValues(h.name, step(mutating), operation, strconv.FormatBool(refused)).Observe(took.Seconds())
	if !refused {
		return
	}
	kind, code := "no_error", 0
	if ignorable(err) {
		kind = "calling_webhook_error"
	} else if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code = min(int(status.Status().Code), mostRefusalCode)
	}
	m.rejected.WithLabelValues(h.name, step(mutating), operation, kind, strconv.Itoa(code)).Inc()
}

// passedOver counts a webhook without an answer whose policy is to go on.
func (m *Metrics) passedOver(h *hook, mutating bool) {
	if m != nil {
		m.passedOn.WithLabelValues(h.name, step(mutating)).Inc()
	}
}
