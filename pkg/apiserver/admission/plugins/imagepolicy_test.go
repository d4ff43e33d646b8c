package plugins

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// imageJudge is a webhook that remembers what it was asked.
type imageJudge struct {
	code   int
	answer string
	asked  []imagepolicyv1alpha1.ImageReview
}

func (j *imageJudge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review imagepolicyv1alpha1.ImageReview
	if json.NewDecoder(r.Body).Decode(&review) == nil && r.URL.Path == "/judge" && r.Method == http.MethodPost {
		j.asked = append(j.asked, review)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(j.code)
	_, _ = w.Write([]byte(j.answer))
}

// reaching is a kubeconfig.
func reaching(t *testing.T, url string) string {
	return written(t, `{"kind":"Config","apiVersion":"v1","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":""}}],
		"clusters":[{"name":"c","cluster":{"server":"`+url+`/judge"}}]}`)
}

func judged(t *testing.T, j *imageJudge, more string) *Config {
	t.Helper()
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	return toldPlugin("ImagePolicyWebhook", `{"imagePolicy":{"kubeConfigFile":"`+reaching(t, server.URL)+`","retryBackoff":-1`+more+`}}`)
}

func podWrite(subresource, image string) *admission.Attributes {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{"a": "b", "mine.image-policy.k8s.io/break-glass": "x"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}, InitContainers: []corev1.Container{{Image: "init"}},
			EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "late"}}}}}
	return &admission.Attributes{Operation: admission.Create, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Subresource: subresource,
		Namespace: "n", Name: "p", Object: pod}
}

func TestAWebhookJudgesImages(t *testing.T) {
	const (
		says      = `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","status":`
		forbidden = `pods "p" is forbidden: `
		prefix    = "imagepolicywebhook.image-policy.k8s.io/"
	)
	for name, c := range map[string]struct {
		subresource, told string
		judge             imageJudge
		images            []string
		calls             int
		refusal           string
		notes             map[string]string
	}{
		"allowed":               {"", "", imageJudge{200, says + `{"allowed":true,"auditAnnotations":{"k":"v"}}}`, nil}, []string{"i", "init"}, 1, "", map[string]string{prefix + "k": "v"}},
		"denied":                {"", `,"defaultAllow":true`, imageJudge{200, says + `{"auditAnnotations":{"k":"v"}}}`, nil}, []string{"i", "init"}, 1, forbidden + "one or more images rejected by webhook backend", map[string]string{prefix + "k": "v"}},
		"denied with a why":     {"", "", imageJudge{200, says + `{"reason":"old"}}`, nil}, []string{"i", "init"}, 1, forbidden + "image policy webhook backend denied one or more images: old", nil},
		"later containers":      {"ephemeralcontainers", "", imageJudge{200, says + `{"allowed":true}}`, nil}, []string{"late"}, 1, "", nil},
		"of no concern":         {"status", "", imageJudge{200, says + `{}}`, nil}, nil, 0, "", nil},
		"a server out of luck":  {"", "", imageJudge{500, "oh", nil}, []string{"i", "init"}, 5, forbidden + "an error on the server", nil},
		"a server that says no": {"", "", imageJudge{403, "oh", nil}, []string{"i", "init"}, 1, "unknown", nil},
		"a server without it":   {"", "", imageJudge{404, "oh", nil}, []string{"i", "init"}, 1, forbidden + "the server could not find the requested resource", nil},
		"another answer":        {"", "", imageJudge{200, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, nil}, []string{"i", "init"}, 1, forbidden, nil},
		"no judge, but trust":   {"", `,"defaultAllow":true`, imageJudge{500, "oh", nil}, []string{"i", "init"}, 5, "", map[string]string{prefix + "failed-open": "true"}},
	} {
		cfg := judged(t, &c.judge, c.told)
		cfg.Now = time.Now
		p := imagePolicy(cfg)
		if cfg.faults != nil {
			t.Fatal(cfg.faults)
		}
		ctx, notes := request.WithAnnotations(t.Context())
		err := p.Validate(ctx, podWrite(c.subresource, "i"))
		if (err != nil) != (c.refusal != "") || err != nil && (!apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), c.refusal)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := notes.All(); !maps.Equal(got, c.notes) {
			t.Errorf("%s: notes %v", name, got)
		}
		if len(c.judge.asked) != c.calls {
			t.Errorf("%s: %d calls", name, len(c.judge.asked))
			continue
		}
		for _, asked := range c.judge.asked {
			spec := imagepolicyv1alpha1.ImageReviewSpec{Namespace: "n", Annotations: map[string]string{"mine.image-policy.k8s.io/break-glass": "x"}}
			for _, i := range c.images {
				spec.Containers = append(spec.Containers, imagepolicyv1alpha1.ImageReviewContainerSpec{Image: i})
			}
			if asked.APIVersion != "imagepolicy.k8s.io/v1alpha1" || asked.Kind != "ImageReview" || !cmp.Equal(asked.Spec, spec) {
				t.Errorf("%s: asked %v", name, asked)
			}
		}
	}
}

func TestAnswersAboutImagesAreKeptForAWhile(t *testing.T) {
	const allow, deny = `{"status":{"allowed":true}}`, `{"status":{}}`
	for name, c := range map[string]struct {
		answer, told string
		kept         time.Duration
	}{
		"allowed":                    {allow, "", 5 * time.Minute},
		"denied":                     {deny, "", 30 * time.Second},
		"allowed, for as told":       {allow, `,"allowTTL":7`, 7 * time.Second},
		"denied, for as told":        {deny, `,"denyTTL":8`, 8 * time.Second},
		"allowed, as often as asked": {allow, `,"allowTTL":-1`, 0},
	} {
		now := time.Unix(1e9, 0)
		judge := &imageJudge{code: 200, answer: c.answer}
		cfg := judged(t, judge, c.told)
		cfg.Now = func() time.Time { return now }
		p := imagePolicy(cfg)
		if cfg.faults != nil {
			t.Fatal(cfg.faults)
		}
		asks := func(image string, want int) {
			t.Helper()
			judge.asked = nil
			if err := p.Validate(t.Context(), podWrite("", image)); (err == nil) != (c.answer == allow) || len(judge.asked) != want {
				t.Errorf("%s: %d calls, %v", name, len(judge.asked), err)
			}
		}
		asks("i", 1)
		asks("another", 1)
		now = now.Add(c.kept)
		if c.kept > 0 {
			asks("i", 0)
		} else {
			asks("i", 1)
		}
		now = now.Add(time.Nanosecond)
		asks("i", 1)
	}
}
