package serviceaccounttoken

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
	"github.com/sampan-project/sampan/pkg/pki"
)

const ns = "n"

func account(name string, uid types.UID, lists ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: uid}}
	for _, s := range lists {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: s})
	}
	return a
}

// secret is one of an account; where uid is not empty it has been filled for it.
func secret(name, account, uid string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{},
	}
	if uid != "" {
		s.Annotations[corev1.ServiceAccountUIDKey] = uid
	}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func run(t *testing.T, objects []runtime.Object, body func(w *controllertest.World)) {
	t.Helper()
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accounttoken.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	controllertest.Run(t, objects, func(env *controller.Env) (controller.Runner, error) {
		return New(env, 2, Options{Signer: signer, RootCA: []byte("authority")})
	}, body)
}

func read(w *controllertest.World, name string) *corev1.Secret {
	w.T.Helper()
	s, err := w.Client.CoreV1().Secrets(ns).Get(w.Ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		w.T.Fatal(err)
	}
	return s
}

func TestSecretsAreFilled(t *testing.T) {
	whole := map[string]string{"token": "mine", "namespace": "theirs", "ca.crt": "authority"}
	other := secret("other", "a", "", nil)
	other.Type = corev1.SecretTypeOpaque
	objects := []runtime.Object{
		account("a", "u"), secret("new", "a", "", nil), secret("whole", "a", "u", whole), other,
		secret("old", "a", "u", map[string]string{"token": "mine", "namespace": "theirs", "ca.crt": "former"}),
		secret("orphan", "gone", "", nil), secret("stranger", "a", "former", nil),
	}
	run(t, objects, func(w *controllertest.World) {
		s := read(w, "new")
		if token := string(s.Data["token"]); strings.Count(token, ".") != 2 || string(s.Data["ca.crt"]) != "authority" || string(s.Data["namespace"]) != ns || s.Annotations[corev1.ServiceAccountUIDKey] != "u" {
			t.Errorf("filled as %+v", s)
		}
		for name, ca := range map[string]string{"whole": "authority", "old": "authority"} {
			if s := read(w, name); string(s.Data["token"]) != "mine" || string(s.Data["namespace"]) != "theirs" || string(s.Data["ca.crt"]) != ca {
				t.Errorf("%s has become %+v", name, s)
			}
		}
		if s := read(w, "other"); len(s.Data) > 0 {
			t.Errorf("a secret of another type is filled: %+v", s)
		}
		for _, name := range []string{"orphan", "stranger"} {
			if read(w, name) != nil {
				t.Errorf("%s is left, though its account is gone", name)
			}
		}
		writes := 0
		for _, a := range w.Client.Actions() {
			if a.GetVerb() == "update" {
				writes++
			}
		}
		if writes != 2 {
			t.Errorf("wrote %d times, want 2: for the new one and the old one", writes)
		}
	})
}

func TestTokensGoWithTheirAccount(t *testing.T) {
	run(t, []runtime.Object{account("a", "u"), account("b", "v"), secret("of-a", "a", "", nil), secret("of-b", "b", "", nil)}, func(w *controllertest.World) {
		accounts := w.Client.CoreV1().ServiceAccounts(ns)
		if err := accounts.Delete(w.Ctx, "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := accounts.Create(w.Ctx, account("a", "other"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		if read(w, "of-a") != nil || read(w, "of-b") == nil {
			t.Errorf("left: %v, %v", read(w, "of-a"), read(w, "of-b"))
		}
	})
}

func TestAccountsListNoTokenThatIsGone(t *testing.T) {
	run(t, []runtime.Object{account("a", "u", "first", "second"), secret("first", "a", "", nil), secret("second", "a", "", nil)}, func(w *controllertest.World) {
		if err := w.Client.CoreV1().Secrets(ns).Delete(w.Ctx, "first", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		a, err := w.Client.CoreV1().ServiceAccounts(ns).Get(w.Ctx, "a", metav1.GetOptions{})
		if err != nil || len(a.Secrets) != 1 || a.Secrets[0].Name != "second" {
			t.Errorf("it lists %+v, %v", a.Secrets, err)
		}
	})
}
