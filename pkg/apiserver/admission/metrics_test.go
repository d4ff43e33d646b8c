package admission_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// TestRulesAreTimed lets rules take their time, one of them in both passes, and one refuse.
func TestRulesAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := func(d time.Duration, err error) func(context.Context, *admission.Attributes) error {
			return func(context.Context, *admission.Attributes) error { time.Sleep(d); return err }
		}
		chain, metrics := admission.Measured([]admission.Plugin{
			{Validate: takes(time.Second, nil)},
			{Name: "Changes", On: admission.On(admission.Create), Admit: func(_ context.Context, a *admission.Attributes) error {
				time.Sleep(10 * time.Millisecond)
				a.Passes.Again = true
				return nil
			}},
			{Name: "Refuses", Validate: takes(3*time.Second, errors.New("no"))},
			{Name: "Late", Validate: takes(time.Hour, nil)},
		})
		for _, o := range []admission.Operation{admission.Create, admission.Delete} {
			a := &admission.Attributes{Operation: o}
			if err := chain.Admit(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := chain.Validate(t.Context(), a); err == nil {
				t.Errorf("%s is not refused", o)
			}
		}
		r := prometheus.NewRegistry()
		r.MustRegister(metrics)
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		got := answer.Body.String()
		const one, step = "apiserver_admission_controller_admission_duration_seconds_", "apiserver_admission_step_admission_duration_seconds_"
		for _, want := range []string{
			one + `bucket{name="Changes",operation="CREATE",rejected="false",type="admit",le="0.005"} 0`,
			one + `bucket{name="Changes",operation="CREATE",rejected="false",type="admit",le="0.025"} 2`,
			one + `sum{name="Changes",operation="CREATE",rejected="false",type="admit"} 0.02`,
			one + `bucket{name="Refuses",operation="DELETE",rejected="true",type="validate",le="2.5"} 0`,
			one + `bucket{name="Refuses",operation="DELETE",rejected="true",type="validate",le="+Inf"} 1`,
			one + `sum{name="Refuses",operation="DELETE",rejected="true",type="validate"} 3`,
			step + `sum{operation="CREATE",rejected="false",type="admit"} 0.02`,
			step + `count{operation="CREATE",rejected="false",type="admit"} 1`,
			step + `count{operation="DELETE",rejected="false",type="admit"} 1`,
			step + `sum{operation="CREATE",rejected="true",type="validate"} 4`,
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("the metrics lack %s", want)
			}
		}
		if n := strings.Count(got, "_count{"); n != 7 {
			t.Errorf("%d series, want 7: %s", n, got)
		}
	})
}
