package serviceaccount

import "github.com/prometheus/client_golang/prometheus"

// Metrics count the uses of tokens that were to be given up, and beside them of those that are not.
type Metrics struct {
	legacy           prometheus.Counter // tokens for no audience
	auto, manual     prometheus.Counter // tokens in secrets, by who made those
	invalid          prometheus.Counter // tokens in secrets that are marked as invalid
	stale, refreshed prometheus.Counter // tokens whose life was extended, behind the life asked for and within it
}

// NewMetrics registers them by upstream's names.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "serviceaccount_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	return &Metrics{
		legacy:    counter("legacy_tokens_total", "Uses of service account tokens for no audience."),
		auto:      counter("legacy_auto_token_uses_total", "Uses of tokens in secrets that were made for every account."),
		manual:    counter("legacy_manual_token_uses_total", "Uses of tokens in secrets that users made."),
		invalid:   counter("invalid_legacy_auto_token_uses_total", "Uses of tokens in secrets that are marked as invalid."),
		stale:     counter("stale_tokens_total", "Uses of extended tokens after the life that was asked for."),
		refreshed: counter("valid_tokens_total", "Uses of extended tokens within the life that was asked for."),
	}
}
