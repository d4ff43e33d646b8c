package plugins

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// hiding does not let the objects of one resource be followed.
type hiding struct {
	resource.Access
	what string
}

func (h hiding) Follow(ctx context.Context, r schema.GroupResource, f func(obj, gone resource.Object)) (<-chan struct{}, error) {
	if r.Resource == h.what {
		return nil, errors.New("hidden")
	}
	return h.Access.Follow(ctx, r, f)
}

// TestRulesThatCannotBeFollowedAreNotPassedOver: without the webhooks and policies that there are, nothing may be written.
func TestRulesThatCannotBeFollowedAreNotPassedOver(t *testing.T) {
	for what, plugin := range map[string]string{
		"mutatingwebhookconfigurations": "MutatingAdmissionWebhook", "validatingwebhookconfigurations": "ValidatingAdmissionWebhook",
		"mutatingadmissionpolicies": "MutatingAdmissionPolicy", "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
	} {
		_, err := New(t.Context(), Config{Access: hiding{resourcetest.New(), what}})
		if err == nil || !strings.HasPrefix(err.Error(), `couldn't init admission plugin "`+plugin+`": `) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}
