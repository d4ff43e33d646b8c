package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWhatOnlySomeKindsDo tries what a definition can say beside rules, defaults and columns.
func TestWhatOnlySomeKindsDo(t *testing.T) {
	c := start(t, t.TempDir()).as(adminToken)
	const template = `"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}],"restartPolicy":"RESTART"}}`

	t.Run("a job's deletion warns of its pods", func(t *testing.T) {
		const jobs = "/apis/batch/v1/namespaces/default/jobs"
		for _, name := range []string{"one", "two", "three"} {
			c.created(t, jobs, `{"metadata":{"name":"`+name+`"},"spec":{`+strings.Replace(template, "RESTART", "Never", 1)+`}}`)
		}
		for path, warns := range map[string]bool{"/one": true, "/two?propagationPolicy=Background": false, "/three?orphanDependents=true": false} {
			a := c.ask(t, "DELETE", jobs+path, "")
			if got := strings.Contains(a.header.Get("Warning"), "child pods are preserved by default"); a.code != http.StatusOK || got != warns {
				t.Errorf("DELETE %s: %d, warned %v, want %v: %s", path, a.code, got, warns, a.text)
			}
		}
		if a := c.ask(t, "GET", jobs+"?fieldSelector=status.failed%3D0", ""); at(a.body, "message") != `field label "status.failed" not supported for Job` {
			t.Errorf("got %s", a.text)
		}
	})

	t.Run("a generated name does not part a job from its template's labels", func(t *testing.T) {
		a := c.created(t, "/apis/batch/v1/namespaces/default/jobs", `{"metadata":{"generateName":"some-"},"spec":{`+strings.Replace(template, "RESTART", "Never", 1)+`}}`)
		if at(a.body, "metadata.labels.job-name") != at(a.body, "metadata.name") || at(a.body, "metadata.labels.a") != "b" {
			t.Errorf("got %s", a.text)
		}
	})

	t.Run("the count of templates is no metadata", func(t *testing.T) {
		const sets, count = "/apis/apps/v1/namespaces/default/daemonsets", `"deprecated.daemonset.template.generation":`
		a := c.created(t, sets, `{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},`+strings.Replace(template, "RESTART", "Always", 1)+`}}`)
		if !strings.Contains(a.text, count) {
			t.Errorf("the set has no count: %s", a.text)
		}
		for _, as := range []string{"Table", "PartialObjectMetadata"} {
			a := c.ask(t, "GET", sets+"/d", "", "Accept", "application/json;as="+as+";v=v1;g=meta.k8s.io")
			if a.code != http.StatusOK || strings.Contains(a.text, count) {
				t.Errorf("as %s: %d: %s", as, a.code, a.text)
			}
		}
	})

	t.Run("what was once a field is a number", func(t *testing.T) {
		const sets, deployments = "/apis/apps/v1/namespaces/default/daemonsets", "/apis/apps/v1/namespaces/default/deployments"
		const merge, list, strategic = "application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"
		spec := `"spec":{"selector":{"matchLabels":{"a":"b"}},` + strings.Replace(template, "RESTART", "Always", 1) + `}`
		annotated := func(key, value string) string {
			return `{"metadata":{"name":"n","annotations":{"` + key + `":"` + value + `"}},` + spec + `}`
		}
		const count, back = "deprecated.daemonset.template.generation", "deprecated.deployment.rollback.to"
		c.created(t, sets, annotated(count, "3"))
		c.created(t, deployments, annotated(back, ""))
		patch := `{"metadata":{"annotations":{"` + count + `":"x"}}}`
		const fault = `strconv.ParseInt: parsing "x": invalid syntax`
		for _, r := range []struct {
			method, path, media, body string
			code                      int
			message                   string
		}{
			{"POST", sets, "application/json", annotated(count, "x"), 400, `DaemonSet in version "v1" cannot be handled as a DaemonSet: ` + fault},
			{"PUT", sets + "/n", "application/json", annotated(count, "x"), 400, `DaemonSet in version "v1" cannot be handled as a DaemonSet: ` + fault},
			{"PUT", sets + "/n/status", "application/json", annotated(count, "x"), 400, `DaemonSet in version "v1" cannot be handled as a DaemonSet: ` + fault},
			{"PATCH", sets + "/n", merge, patch, 422, fault},
			{"PATCH", sets + "/n", list, `[{"op":"add","path":"/metadata/annotations/` + count + `","value":"x"}]`, 422, fault},
			{"PATCH", sets + "/n", strategic, patch, 500, fault},
			{"PATCH", sets + "/n?fieldManager=m&force=true", "application/apply-patch+yaml", `{"apiVersion":"apps/v1","kind":"DaemonSet",` + annotated(count, "x")[1:], 500,
				"failed to convert to unversioned (/n; apps/v1, Kind=DaemonSet): " + fault},
			{"PUT", sets + "/n", "application/json", annotated(count, "7"), 200, ""},
			{"POST", deployments, "application/json", annotated(back, "x"), 400,
				`Deployment in version "v1" cannot be handled as a Deployment: failed to parse annotation[` + back + `]=x as int64: ` + fault},
			{"POST", deployments, "application/json", annotated(back, "-1"), 422, `Deployment.apps "n" is invalid: spec.rollback.version: Invalid value: -1: must be greater than or equal to 0`},
			{"PATCH", deployments + "/n/scale", merge, `{"spec":{"replicas":0}}`, 200, ""},
			{"PUT", deployments + "/n", "application/json", annotated(back, "5"), 200, ""},
		} {
			a := c.ask(t, r.method, r.path, r.body, "Content-Type", r.media)
			if a.code != r.code || r.message != "" && !strings.HasSuffix(at(a.body, "message"), r.message) {
				t.Errorf("%s %s by %s: %d, want %d: %s", r.method, r.path, r.media, a.code, r.code, a.text)
			}
		}
		if a := c.ask(t, "GET", sets+"/n", ""); !strings.Contains(a.text, `"`+count+`":"3"`) {
			t.Errorf("the count is %s", a.text)
		}
	})

	t.Run("flow schemas stand in tables in the order in which they are tried", func(t *testing.T) {
		const schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
		for _, precedence := range []string{"3000", "200", "3000"} {
			c.created(t, schemas, `{"metadata":{"generateName":"x-"},"spec":{"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":`+precedence+`}}`)
		}
		a := c.ask(t, "GET", schemas, "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
		var table metav1.Table
		if err := json.Unmarshal([]byte(a.text), &table); err != nil {
			t.Fatal(err)
		}
		before, name := 0.0, ""
		for _, row := range table.Rows {
			precedence, next := row.Cells[2].(float64), row.Cells[0].(string)
			if precedence < before || precedence == before && next < name {
				t.Errorf("%s of precedence %v stands behind %s of %v", next, precedence, name, before)
			}
			before, name = precedence, next
		}
		if len(table.Rows) < 3 {
			t.Errorf("got %s", a.text)
		}
	})

	t.Run("an autoscaler is one object in two versions", func(t *testing.T) {
		const old, now = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
		c.created(t, now, `{"metadata":{"name":"h"},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"maxReplicas":3,
			"metrics":[{"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"1Mi"}}}]}}`)
		a := c.ask(t, "PATCH", old+"/h", `{"spec":{"targetCPUUtilizationPercentage":50}}`, "Content-Type", "application/merge-patch+json")
		if !strings.Contains(at(a.body, "metadata.annotations"), "memory") {
			t.Errorf("version v1 does not show the other metric: %s", a.text)
		}
		a = c.ask(t, "GET", now+"/h", "")
		if !strings.Contains(a.text, `"averageUtilization":50`) || !strings.Contains(a.text, `"averageValue":"1Mi"`) || strings.Contains(a.text, "autoscaling.alpha") {
			t.Errorf("got %s", a.text)
		}
	})
}

// created is the answer to a POST that makes something.
func (c *client) created(t *testing.T, path, body string) *asked {
	t.Helper()
	a := c.ask(t, "POST", path, body)
	if a.code != http.StatusCreated {
		t.Fatalf("POST %s: %d: %s", path, a.code, a.text)
	}
	return a
}
