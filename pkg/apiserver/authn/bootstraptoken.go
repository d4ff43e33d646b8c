package authn

import (
	"context"
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The form of bootstrap tokens and of the secrets in kube-system that hold them.
const (
	bootstrapNamespace   = "kube-system"
	bootstrapSecretName  = "bootstrap-token-"
	bootstrapSecretType  = "bootstrap.kubernetes.io/token"
	bootstrapUserPrefix  = "system:bootstrap:"
	bootstrapGroup       = "system:bootstrappers"
	bootstrapGroupPrefix = "system:bootstrappers:"
)

var (
	bootstrapToken      = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)
	bootstrapGroupNames = regexp.MustCompile(`^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$`)
)

// bootstrapTokens lets in who joins a cluster: the token "id.secret" stands in the secret
// bootstrap-token-id, until its expiration.
type bootstrapTokens struct {
	reader    resource.Reader
	audiences []string
	now       func() time.Time
}

func (b *bootstrapTokens) AuthenticateToken(ctx context.Context, token string, audiences []string) (*request.User, []string, error) {
	parts := bootstrapToken.FindStringSubmatch(token)
	if parts == nil {
		return nil, nil, nil
	}
	auds := acceptable(b.audiences, audiences)
	if len(audiences) > 0 && len(auds) == 0 {
		return nil, nil, nil
	}
	obj, err := b.reader.Get(ctx, schema.GroupResource{Resource: "secrets"}, bootstrapNamespace, bootstrapSecretName+parts[1])
	if apierrors.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	secret, ok := obj.(*corev1.Secret)
	if !ok || !b.valid(secret, parts[1], parts[2]) {
		return nil, nil, nil
	}
	groups, ok := bootstrapGroups(string(secret.Data["auth-extra-groups"]))
	if !ok {
		return nil, nil, nil
	}
	return &request.User{Name: bootstrapUserPrefix + parts[1], Groups: groups}, auds, nil
}

func (b *bootstrapTokens) valid(s *corev1.Secret, id, secret string) bool {
	if s.DeletionTimestamp != nil || s.Type != bootstrapSecretType {
		return false
	}
	if subtle.ConstantTimeCompare(s.Data["token-secret"], []byte(secret)) != 1 || string(s.Data["token-id"]) != id {
		return false
	}
	if e := string(s.Data["expiration"]); e != "" {
		until, err := time.Parse(time.RFC3339, e)
		if err != nil || !b.now().Before(until) {
			return false
		}
	}
	return string(s.Data["usage-bootstrap-authentication"]) == "true"
}

func bootstrapGroups(list string) ([]string, bool) {
	groups := []string{bootstrapGroup}
	if list == "" {
		return groups, true
	}
	for g := range strings.SplitSeq(list, ",") {
		if !strings.HasPrefix(g, bootstrapGroupPrefix) || !bootstrapGroupNames.MatchString(g) {
			return nil, false
		}
		groups = append(groups, g)
	}
	slices.Sort(groups)
	return slices.Compact(groups), true
}
