package image

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

func TestCredentialsAreForTheirRegistryOnly(t *testing.T) {
	for _, c := range []struct {
		registry, image string
		want            bool
	}{
		{"registry.example", "registry.example/a:1", true},
		{"https://registry.example", "registry.example/a", true},
		{"registry.example:5000", "registry.example:5000/a", true},
		{"registry.example:5000", "registry.example/a", false},
		{"registry.example/team", "registry.example/team/a", true},
		{"registry.example/team", "registry.example/other/a", false},
		{"*.example", "registry.example/a", true},
		{"*.example", "a.registry.example/a", false},
		{"https://index.docker.io/v1/", "busybox", true},
		{"docker.io", "busybox:1", true},
		{"docker.io", "registry.example/a", false},
	} {
		ref, err := name.ParseReference(c.image)
		if err != nil {
			t.Fatal(err)
		}
		if matches(c.registry, ref) != c.want {
			t.Errorf("credentials of %s for %s: not %v", c.registry, c.image, c.want)
		}
	}
}

func TestPullsWithTheSecretsOfThePod(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	fake := cri.NewFake(clock)
	spy := &pulls{Fake: fake}
	auth := base64.StdEncoding.EncodeToString([]byte("user:pass"))
	m := New(Config{Runtime: spy, Clock: clock, Parallel: 1, Event: func(*corev1.Pod, string, string, string, string) {},
		Objects: &object.Fixed{Secrets: []*corev1.Secret{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"registry.example":{"auth":"` + auth + `"}}}`)},
		}}}})
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, Spec: corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "s"}, {Name: "absent"}}}}
	img, err := m.Ensure(t.Context(), p, &corev1.Container{Name: "c", Image: "registry.example/a"}, nil)
	if err != nil || img == nil || spy.auth.GetUsername() != "user" || spy.auth.GetPassword() != "pass" {
		t.Errorf("%v (%v) with %v", img, err, spy.auth)
	}
	_, err = m.Ensure(t.Context(), p, &corev1.Container{Name: "c", Image: "Not A Name"}, nil)
	if err == nil || err.(*Error).Reason != ErrInvalidName || !strings.Contains(err.Error(), "invalid reference format") {
		t.Errorf("a bad name: %v", err)
	}
}

// pulls notes the credentials of a pull, which gives the image.
type pulls struct {
	*cri.Fake
	auth *cri.AuthConfig
}

func (p *pulls) PullImage(ctx context.Context, image *cri.ImageSpec, auth *cri.AuthConfig, sandbox *cri.PodSandboxConfig) (string, error) {
	p.auth = auth
	p.AddImage(image.GetImage())
	return p.Fake.PullImage(ctx, image, auth, sandbox)
}
