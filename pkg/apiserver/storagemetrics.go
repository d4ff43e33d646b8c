package apiserver

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
)

// sizeWithin is how long whoever reads metrics waits for etcd to tell its size.
const sizeWithin = time.Second

// stored measures what is stored, and what etcd tells of it, when metrics are read.
type stored struct {
	served func() []*endpoint.Served
	size   func(context.Context) (int64, error)
	log    logr.Logger

	byResource, both, events, bytes *prometheus.Desc
}

func newStored(served func() []*endpoint.Served, size func(context.Context) (int64, error), log logr.Logger) *stored {
	const help = "Objects that are stored."
	forLabels := []string{"group", "resource"}
	return &stored{
		served: served, size: size, log: log,
		byResource: prometheus.NewDesc("apiserver_storage_objects", help, []string{"resource"}, nil),
		both:       prometheus.NewDesc("apiserver_resource_objects", help, forLabels, nil),
		events: prometheus.NewDesc("apiserver_storage_events_received_total",
			"Changes of objects that etcd has told of.", forLabels, nil),
		bytes: prometheus.NewDesc("apiserver_storage_size_bytes",
			"How much of its disk etcd's database takes, in bytes.", []string{"storage_cluster_id"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (o *stored) Describe(to chan<- *prometheus.Desc) {
	to <- o.byResource
	to <- o.both
	to <- o.events
	to <- o.bytes
}

// Collect implements prometheus.Collector.
func (o *stored) Collect(to chan<- prometheus.Metric) {
	counted := map[schema.GroupResource]bool{}
	for _, s := range o.served() {
		r := s.GroupResource()
		if s.View != nil || s.Answer != nil || s.Observe != nil || counted[r] {
			continue
		}
		counted[r] = true
		now, _ := s.Cached.Now()
		n := float64(now.Len("", ""))
		to <- prometheus.MustNewConstMetric(o.byResource, prometheus.GaugeValue, n, r.String())
		to <- prometheus.MustNewConstMetric(o.both, prometheus.GaugeValue, n, r.Group, r.Resource)
		received := float64(s.Cached.Received())
		to <- prometheus.MustNewConstMetric(o.events, prometheus.CounterValue, received, r.Group, r.Resource)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sizeWithin)
	defer cancel()
	size, err := o.size(ctx)
	if err != nil {
		o.log.Error(err, "The size of etcd's database is not known")
		return
	}
	to <- prometheus.MustNewConstMetric(o.bytes, prometheus.GaugeValue, float64(size), "etcd-0")
}
