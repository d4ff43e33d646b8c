package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/pki"
)

// apiserver answers reviews: the token "good" is user u, who may only get /metrics.
func apiserver(asked *int) *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		*asked++
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		r.Status.Authenticated = r.Spec.Token == "good"
		r.Status.User.Username = "u"
		return true, r, nil
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		*asked++
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		n := r.Spec.NonResourceAttributes
		r.Status.Allowed = r.Spec.User == "u" && n.Path == "/metrics" && n.Verb == "get"
		return true, r, nil
	})
	return c
}

func TestOnlyThePermittedPassTheDelegatedDoor(t *testing.T) {
	asked := 0
	clock := clocktesting.NewFakePassiveClock(time.Now())
	d := &Delegated{Client: apiserver(&asked), Clock: clock}
	h := d.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	body := ""
	status := func(path, token string) int {
		r := httptest.NewRequest("GET", path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body = w.Header().Get("Content-Type") + w.Body.String()
		return w.Code
	}
	for _, c := range []struct {
		path, token string
		want        int
		body        string
	}{
		{"/metrics", "", 401, `"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`}, {"/metrics", "bad", 401, ""},
		{"/metrics", "good", 200, ""},
		{"/secret", "good", 403, `"message":"forbidden: User \"u\" cannot get path \"/secret\"","reason":"Forbidden","details":{},"code":403}`},
	} {
		if got := status(c.path, c.token); got != c.want || c.body != "" && (!strings.HasPrefix(body, "application/json{") || !strings.Contains(body, c.body)) {
			t.Errorf("%s with token %q: %d %s, want %d", c.path, c.token, got, body, c.want)
		}
	}
	before := asked
	status("/metrics", "good")
	if asked != before {
		t.Error("an answer of a moment ago was asked for again")
	}
	clock.SetTime(clock.Now().Add(11 * time.Second))
	status("/metrics", "good")
	if asked != before+2 {
		t.Errorf("old answers were used: %d questions, want 2", asked-before)
	}
}

func TestClientCertificatesAreHeldAgainstTheAuthoritiesOfTheMoment(t *testing.T) {
	now := time.Now()
	authority := func() (*pki.Pair, *x509.CertPool) {
		ca, err := pki.NewCA(pki.CertSpec{CommonName: "ca"}, now)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(ca.Cert)
		return ca, pool
	}
	ca, trusted := authority()
	_, other := authority()
	client, err := ca.Sign(pki.CertSpec{CommonName: "u", Organizations: []string{"g"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, now)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.Cert}}
	d := &Delegated{ClientCAs: func() *x509.CertPool { return trusted }, Clock: clocktesting.NewFakePassiveClock(now)}
	if u, err := d.Authenticate(r); err != nil || u.Username != "u" {
		t.Fatalf("got %v, %v", u, err)
	}
	trusted = other
	if u, err := d.Authenticate(r); err == nil {
		t.Errorf("%v is still trusted after its authority was replaced", u)
	}
}

func TestHealthListsAndExcludesChecks(t *testing.T) {
	var h Health
	h.AddLive(Ping, Check{"good", func(context.Context) error { return nil }})
	h.Add(Healthz, Check{"also", func(context.Context) error { return nil }})
	h.AddReady(Check{"bad", func(context.Context) error { return errors.New("secret reason") }})
	mux := http.NewServeMux()
	h.Install(mux)
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/healthz":                      {200, "ok"},
		"/healthz?verbose":              {200, "[+]ping ok\n[+]good ok\n[+]also ok\nhealthz check passed\n"},
		"/livez?verbose":                {200, "[+]ping ok\n[+]good ok\nlivez check passed\n"},
		"/readyz":                       {500, "[+]ping ok\n[+]good ok\n[-]bad failed: reason withheld\nreadyz check failed\n"},
		"/readyz?exclude=bad":           {200, "ok"},
		"/readyz/good":                  {200, "ok"},
		"/readyz/none":                  {404, "404 page not found\n"},
		"/readyz?exclude=bad&verbose=1": {200, "[+]ping ok\n[+]good ok\n[+]bad excluded: ok\nreadyz check passed\n"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want.code || w.Body.String() != want.body {
			t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body.String(), want.code, want.body)
		}
	}
}

func TestAPingStandsInWhereThereAreNoChecks(t *testing.T) {
	var h Health
	h.AddReady(Check{"good", func(context.Context) error { return nil }})
	mux := http.NewServeMux()
	h.Install(mux)
	for path, want := range map[string]string{"/livez": "[+]ping ok\nlivez check passed\n", "/readyz": "[+]good ok\nreadyz check passed\n"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path+"?verbose", nil))
		if w.Body.String() != want {
			t.Errorf("%s: %q, want %q", path, w.Body, want)
		}
	}
}

func TestSelfSignedCertificateServes(t *testing.T) {
	cert, err := SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	defer s.Close()
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestLeaderWorksAloneAndTheNextFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		first, endFirst := context.WithCancel(context.Background())
		second, endSecond := context.WithCancel(context.Background())
		started := make(chan string, 2)
		lead := func(ctx context.Context, name string, done chan<- error) {
			l := DefaultLeaderElection("test")
			done <- l.Run(ctx, client, func(ctx context.Context) error { started <- name; <-ctx.Done(); return nil })
		}
		done := make(chan error, 2)
		go lead(first, "first", done)
		if got := <-started; got != "first" {
			t.Fatal(got)
		}
		go lead(second, "second", done)
		time.Sleep(30 * time.Second) // of the test's own clock: longer than a lease lasts
		if len(started) != 0 {
			t.Fatal("two work at once")
		}
		endFirst()
		if got := <-started; got != "second" {
			t.Fatal(got)
		}
		endSecond()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
	})
}

// TestALeadersClockMayBeWrong has a leader whose lease says that it was renewed an hour ago, or will be in an hour: it is
// deposed when it no longer renews it, and not before.
func TestALeadersClockMayBeWrong(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset()
			leases := client.CoordinationV1().Leases("kube-system")
			l := DefaultLeaderElection("test")
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: coordinationv1.LeaseSpec{
				HolderIdentity: new("other"), LeaseDurationSeconds: new(int32(l.LeaseDuration.Seconds()))}}
			lease, err := leases.Create(t.Context(), lease, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			started, done := make(chan time.Time, 1), make(chan error, 1)
			go func() {
				done <- l.Run(ctx, client, func(ctx context.Context) error { started <- time.Now(); <-ctx.Done(); return nil })
			}()
			for range 30 { // of seconds of the test's own clock
				lease.Spec.RenewTime = new(metav1.NewMicroTime(time.Now().Add(off)))
				if lease, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(l.RetryPeriod)
			}
			if len(started) != 0 {
				t.Errorf("%v off: two work at once", off)
			}
			last := time.Now()
			if after := (<-started).Sub(last); after > 2*l.LeaseDuration {
				t.Errorf("%v off: a leader that is gone is followed after %v", off, after)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKubeconfigsForReviewsAreSaidToDoNothing(t *testing.T) {
	for flag, want := range map[string]int{"--authorization-kubeconfig=/k": 1, "--secure-port=0": 0} {
		s, fs := DefaultServing("d", 0), pflag.NewFlagSet("", pflag.ContinueOnError)
		s.AddFlags(fs)
		if err := fs.Parse([]string{flag}); err != nil {
			t.Fatal(err)
		}
		lines := 0
		log := funcr.New(func(_, _ string) { lines++ }, funcr.Options{})
		if err := s.Start(t.Context(), log, nil, nil, nil); err != nil || lines != want {
			t.Errorf("%s: %d lines, %v", flag, lines, err)
		}
	}
}

func TestPagesAboutTheProcessAreForThePermitted(t *testing.T) {
	s, fs := DefaultServing("kube-d", 1), pflag.NewFlagSet("", pflag.ContinueOnError)
	s.AddFlags(fs)
	asked := 0
	auth := &Delegated{Client: apiserver(&asked), AllowAll: true, Clock: clocktesting.NewFakePassiveClock(time.Unix(1<<30, 0))}
	h := s.handler(auth, &Health{}, NewMetrics())
	const form, text = ";g=config.k8s.io;v=v1beta1;as=", "text/plain; charset=utf-8"
	for _, c := range []struct {
		path, accept string
		code         int
		media, want  string
	}{
		{"/debug/pprof/", "", 200, "text/html; charset=utf-8", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "", 200, text, "goroutine profile: total "},
		{"/debug/pprof/cmdline", "", 404, text, "Unknown profile"},
		{"/debug/pprof", "", 302, "text/html; charset=utf-8", `"/debug/pprof/"`},
		{"/flagz", "", 200, text, "\nkube-d flagz\nWarning: This endpoint is not meant to be machine parseable"},
		{"/flagz", "*/*", 200, text, "\nsecure-port=1\n"},
		{"/flagz", "application/yaml" + form + "Flagz", 200, "application/yaml" + form + "Flagz", "metadata:\n  name: kube-d\n"},
		{"/flagz", "application/json", 406, "application/json", `"reason":"NotAcceptable"`},
		{"/flagz", "application/json" + form + "Statusz", 406, "application/json", "only the following media types are accepted: application/json, application/yaml, text/plain"},
		{"/statusz", "text/plain", 200, text, "\nStarted: Sat Jan 10 13:37:04 UTC 2004\nUp: 0 hr 00 min 00 sec\n"},
		{"/statusz", "application/json" + form + "Statusz", 200, "application/json" + form + "Statusz", `"paths":["/flagz","/healthz","/livez","/metrics","/readyz"]`},
	} {
		for _, token := range []string{"good", ""} {
			r, w := httptest.NewRequest("GET", c.path, nil), httptest.NewRecorder()
			r.Header.Set("Accept", c.accept)
			r.Header.Set("Authorization", "Bearer "+token)
			h.ServeHTTP(w, r)
			if token == "" {
				if w.Code != 401 {
					t.Errorf("%s is shown to strangers: %d", c.path, w.Code)
				}
			} else if w.Code != c.code || w.Header().Get("Content-Type") != c.media || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("GET %s as %s: %d, %s: %s", c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		}
	}
	s.Profiling = false
	r, w := httptest.NewRequest("GET", "/debug/pprof/", nil), httptest.NewRecorder()
	r.Header.Set("Authorization", "Bearer good")
	if s.handler(auth, &Health{}, NewMetrics()).ServeHTTP(w, r); w.Code != 404 {
		t.Errorf("profiles without --profiling: %d", w.Code)
	}
}
