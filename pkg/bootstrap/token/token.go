// Package token makes, lists and deletes bootstrap tokens, by which machines join a cluster, and finds a
// cluster by one. It knows the secrets in kube-system and the ConfigMap cluster-info, and nothing of nodes.
package token

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
)

const (
	namespace  = "kube-system"
	prefix     = "bootstrap-token-"
	secretType = corev1.SecretType("bootstrap.kubernetes.io/token")
)

// Token is a bootstrap token.
type Token struct {
	ID, Secret  string
	Description string
	Expires     time.Time // zero: never
	Usages      []string
	Groups      []string
}

// String is the token as users pass it on. It is a secret.
func (t *Token) String() string { return t.ID + "." + t.Secret }

// Generate draws a token.
func Generate() (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var out strings.Builder
	for i := range 22 {
		if i == 6 {
			out.WriteByte('.')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return "", fmt.Errorf("drawing a token: %w", err)
		}
		out.WriteByte(letters[n.Int64()])
	}
	return out.String(), nil
}

// New makes a token of its text, with what tokens may do unless said otherwise. A life of 0 has no end.
func New(text string, life time.Duration, now time.Time) (*Token, error) {
	if text == "" {
		var err error
		if text, err = Generate(); err != nil {
			return nil, err
		}
	}
	if err := settings.CheckToken("the token", text); err != nil {
		return nil, err
	}
	t := &Token{Usages: []string{"signing", "authentication"}, Groups: []string{settings.DefaultGroup}}
	t.ID, t.Secret, _ = strings.Cut(text, ".")
	if life > 0 {
		t.Expires = now.Add(life).UTC().Truncate(time.Second)
	}
	return t, nil
}

// object is the secret that keeps the token.
func (t *Token) object() *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: prefix + t.ID},
		Type:       secretType,
		Data:       map[string][]byte{"token-id": []byte(t.ID), "token-secret": []byte(t.Secret)},
	}
	if t.Description != "" {
		s.Data["description"] = []byte(t.Description)
	}
	if !t.Expires.IsZero() {
		s.Data["expiration"] = []byte(t.Expires.Format(time.RFC3339))
	}
	for _, u := range t.Usages {
		s.Data["usage-bootstrap-"+u] = []byte("true")
	}
	if len(t.Groups) > 0 {
		s.Data["auth-extra-groups"] = []byte(strings.Join(t.Groups, ","))
	}
	return s
}

func parse(s *corev1.Secret) *Token {
	t := &Token{ID: string(s.Data["token-id"]), Secret: string(s.Data["token-secret"]), Description: string(s.Data["description"])}
	t.Expires, _ = time.Parse(time.RFC3339, string(s.Data["expiration"]))
	for _, u := range []string{"authentication", "signing"} {
		if string(s.Data["usage-bootstrap-"+u]) == "true" {
			t.Usages = append(t.Usages, u)
		}
	}
	if g := string(s.Data["auth-extra-groups"]); g != "" {
		t.Groups = strings.Split(g, ",")
	}
	return t
}

// Create writes the token. One that exists is an error, unless replace says otherwise.
func Create(ctx context.Context, client kubernetes.Interface, t *Token, replace bool) error {
	secrets := client.CoreV1().Secrets(namespace)
	_, err := secrets.Create(ctx, t.object(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) && replace {
		_, err = secrets.Update(ctx, t.object(), metav1.UpdateOptions{})
	} else if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("a token with id %s exists: delete it with: ctl token delete %s", t.ID, t.ID)
	}
	if err != nil {
		return fmt.Errorf("writing the token %s: %w", t.ID, err)
	}
	return nil
}

// List answers the tokens that exist.
func List(ctx context.Context, client kubernetes.Interface) ([]*Token, error) {
	list, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(secretType)})
	if err != nil {
		return nil, fmt.Errorf("listing the tokens: %w", err)
	}
	var tokens []*Token
	for i := range list.Items {
		if s := &list.Items[i]; s.Type == secretType && s.Name == prefix+string(s.Data["token-id"]) {
			tokens = append(tokens, parse(s))
		}
	}
	return tokens, nil
}

// Delete deletes a token by its id or its whole text.
func Delete(ctx context.Context, client kubernetes.Interface, name string) error {
	id, _, _ := strings.Cut(name, ".")
	err := client.CoreV1().Secrets(namespace).Delete(ctx, prefix+id, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no token %s; ctl token list shows those that are", id)
	}
	if err != nil {
		return fmt.Errorf("deleting the token %s: %w", id, err)
	}
	return nil
}
