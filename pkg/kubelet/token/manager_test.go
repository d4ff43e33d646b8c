package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

// issuer answers token requests with numbered tokens, or fails.
type issuer struct {
	*Manager
	clock  *clocktesting.FakePassiveClock
	issued int
	fail   error
}

func newIssuer() *issuer {
	i := &issuer{clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	client := fake.NewClientset()
	client.PrependReactor("create", "serviceaccounts", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if i.fail != nil {
			return true, nil, i.fail
		}
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		i.issued++
		r.Status = authenticationv1.TokenRequestStatus{
			Token:               fmt.Sprint("token-", i.issued),
			ExpirationTimestamp: metav1.NewTime(i.clock.Now().Add(time.Duration(*r.Spec.ExpirationSeconds) * time.Second)),
		}
		return true, r, nil
	})
	i.Manager = New(client, i.clock)
	i.random = func() float64 { return 0.5 }
	return i
}

func (i *issuer) pass(d time.Duration) { i.clock.SetTime(i.clock.Now().Add(d)) }

func (i *issuer) want(t *testing.T, r *authenticationv1.TokenRequest, want string) {
	t.Helper()
	got, err := i.Token(context.Background(), "ns", "sa", r)
	if err != nil || got.Status.Token != want {
		t.Fatalf("%v, %v; want %s", got, err, want)
	}
}

func request(pod types.UID, seconds int64) *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", UID: pod}}}
}

func TestTokenIsRenewedBefore80PercentOfItsLife(t *testing.T) {
	i := newIssuer()
	i.want(t, request("a", 3600), "token-1")
	i.want(t, request("b", 3600), "token-2")
	at := i.RefreshAt("ns", "sa", request("a", 3600))
	if d := at.Sub(i.clock.Now()); d != 2880*time.Second-5*time.Second {
		t.Fatalf("to be renewed after %s", d)
	}
	i.pass(2874 * time.Second)
	i.want(t, request("a", 3600), "token-1")
	i.pass(2 * time.Second)
	i.want(t, request("a", 3600), "token-3")
	i.want(t, request("a", 3600), "token-3")
}

func TestLongLivedTokenIsRenewedAfterADay(t *testing.T) {
	i := newIssuer()
	i.want(t, request("a", 30*24*3600), "token-1")
	if d := i.RefreshAt("ns", "sa", request("a", 30*24*3600)).Sub(i.clock.Now()); d != 24*time.Hour-5*time.Second {
		t.Errorf("to be renewed after %s", d)
	}
}

func TestOldTokenServesUntilItExpires(t *testing.T) {
	i := newIssuer()
	i.want(t, request("a", 3600), "token-1")
	i.fail = errors.New("down")
	i.pass(3000 * time.Second)
	i.want(t, request("a", 3600), "token-1")
	if at := i.RefreshAt("ns", "sa", request("a", 3600)); !at.Equal(i.clock.Now().Add(time.Minute)) {
		t.Errorf("tried again at %s", at)
	}
	i.pass(601 * time.Second)
	if _, err := i.Token(context.Background(), "ns", "sa", request("a", 3600)); err == nil || !strings.Contains(err.Error(), "expired and refresh failed: ") || !errors.Is(err, i.fail) {
		t.Error(err)
	}
	if _, err := i.Token(context.Background(), "ns", "sa", request("b", 3600)); err == nil || err.Error() != "failed to fetch token: down" {
		t.Error(err)
	}
}

func TestForgottenPodsTokenIsNotServed(t *testing.T) {
	i := newIssuer()
	i.want(t, request("a", 3600), "token-1")
	i.want(t, request("b", 3600), "token-2")
	i.Forget("a")
	i.want(t, request("a", 3600), "token-3")
	i.want(t, request("b", 3600), "token-2")
}
