package plugins

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// eventWrite is who writes an event, of which component, where.
type eventWrite struct{ namespace, user, component string }

func (w eventWrite) attributes() *admission.Attributes {
	return &admission.Attributes{Operation: admission.Create, Kind: corev1.SchemeGroupVersion.WithKind("Event"), Resource: corev1.SchemeGroupVersion.WithResource("events"),
		Namespace: w.namespace, User: &request.User{Name: w.user}, Object: &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "e"}, Source: corev1.EventSource{Component: w.component},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: w.namespace, Name: "p", APIVersion: "v1"}}}
}

func TestEventsAreLimited(t *testing.T) {
	first := eventWrite{"n", "u", "c"}
	const refused = "Too many requests: limit reached on type "
	for limits, c := range map[string]struct {
		other   eventWrite // the bucket that is not that of the first
		key     string
		another bool // there is another bucket at all
	}{
		`{"type":"Server","qps":1,"burst":2}`:                                 {eventWrite{"m", "v", "d"}, "Server for key ", false},
		`{"type":"Namespace","qps":1,"burst":2}`:                              {eventWrite{"m", "u", "c"}, "Namespace for key n", true},
		`{"type":"User","qps":1,"burst":2}`:                                   {eventWrite{"n", "v", "c"}, "User for key u", true},
		`{"type":"SourceAndObject","qps":1,"burst":2}`:                        {eventWrite{"n", "u", "d"}, "SourceAndObject for key cPodnpv1", true},
		`{"type":"User","qps":1,"burst":2},{"type":"User","qps":1,"burst":9}`: {eventWrite{"n", "v", "c"}, "User for key u", true},
	} {
		now := time.Unix(1e9, 0)
		cfg := toldPlugin("EventRateLimit", `{"kind":"Configuration","apiVersion":"eventratelimit.admission.k8s.io/v1alpha1","limits":[`+limits+`]}`)
		cfg.Now = func() time.Time { return now }
		p := eventRateLimit(cfg)
		if cfg.faults != nil {
			t.Fatal(cfg.faults)
		}
		write := func(w eventWrite) error { return p.Validate(t.Context(), w.attributes()) }
		for range 2 {
			if err := write(first); err != nil {
				t.Errorf("%s: within the burst: %v", limits, err)
			}
		}
		err := write(first)
		if err == nil || err.Error() != refused+c.key || !apierrors.IsTooManyRequests(err) {
			t.Errorf("%s: beyond the burst: %v", limits, err)
		}
		if err := write(c.other); (err == nil) != c.another {
			t.Errorf("%s: from another bucket: %v", limits, err)
		}
		dry, newer, none := first.attributes(), first.attributes(), first.attributes()
		dry.DryRun, newer.Kind.Group, none.Kind.Kind = true, eventsv1.GroupName, "Pod"
		for _, a := range []*admission.Attributes{dry, newer, none} {
			if err := p.Validate(t.Context(), a); err != nil {
				t.Errorf("%s: what is not limited: %v", limits, err)
			}
		}
		now = now.Add(time.Second)
		if write(first) != nil || write(first) == nil {
			t.Errorf("%s: a second later one more is not taken", limits)
		}
	}
}

// TestForgottenBucketsAreFull: limits of one client are lost in a crowd of others, as the configuration says.
func TestForgottenBucketsAreFull(t *testing.T) {
	cfg := toldPlugin("EventRateLimit", `{"kind":"Configuration","apiVersion":"eventratelimit.admission.k8s.io/v1alpha1","limits":[
		{"type":"User","qps":1,"burst":1,"cacheSize":2},{"type":"Namespace","qps":1,"burst":4}]}`)
	cfg.Now = func() time.Time { return time.Unix(1e9, 0) }
	p := eventRateLimit(cfg)
	for i, c := range []struct{ user, refusal string }{
		{"a", ""}, {"b", ""}, {"a", "limit reached on type User for key a"}, {"c", ""},
		{"b", "limit reached on type Namespace for key n"}, // b's own was forgotten for c's
		{"c", "[limit reached on type User for key c, limit reached on type Namespace for key n]"},
	} {
		err := p.Validate(t.Context(), eventWrite{"n", c.user, "c"}.attributes())
		if c.refusal == "" && err != nil || c.refusal != "" && (err == nil || err.Error() != "Too many requests: "+c.refusal) {
			t.Errorf("write %d, by %s: %v", i, c.user, err)
		}
	}
}
