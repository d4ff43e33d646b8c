package volume

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

const uid = "11111111-2222-3333-4444-555555555555"

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tokens answers with the audience and the pod that a token is asked for.
type tokens struct{ err error }

func (f tokens) Token(_ context.Context, namespace, account string, r *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	if f.err != nil {
		return nil, f.err
	}
	r = r.DeepCopy()
	r.Status.Token = strings.Join(append([]string{namespace, account, string(r.Spec.BoundObjectRef.UID)}, r.Spec.Audiences...), "/")
	return r, nil
}

func (f tokens) RefreshAt(_, _ string, r *authenticationv1.TokenRequest) time.Time {
	return start.Add(time.Duration(*r.Spec.ExpirationSeconds) * time.Second)
}

func (f tokens) Forget(types.UID) {}

// bench is a Manager over the real mounter, whose mounts end with the test.
type bench struct {
	*Manager
	objects *object.Fixed
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root, as make test does")
	}
	objects := &object.Fixed{
		ConfigMaps: []*corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "m"}, Data: map[string]string{"a": "1", "b": "2"}, BinaryData: map[string][]byte{"bin": {0, 1}}}},
		Secrets:    []*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{"k": []byte("secret")}}},
	}
	m := New(Config{
		Root: filepath.Join(t.TempDir(), "root dir", "pods"), Objects: objects, Tokens: tokens{}, Clock: clocktesting.NewFakePassiveClock(start),
		Allocatable: func() corev1.ResourceList { return corev1.ResourceList{"memory": resource.MustParse("64Mi")} },
	})
	t.Cleanup(func() {
		if err := m.Teardown(context.Background(), uid); err != nil {
			t.Errorf("taking the pod down: %v", err)
		}
	})
	return &bench{m, objects}
}

// podOf is a pod whose one container mounts every volume, at /<name>.
func podOf(volumes ...corev1.Volume) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: uid, Labels: map[string]string{"l": "v"}},
		Spec: corev1.PodSpec{ServiceAccountName: "sa", Volumes: volumes, Containers: []corev1.Container{{Name: "c"}}}}
	for _, v := range volumes {
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
	}
	return p
}

func volumeOf(name string, s corev1.VolumeSource) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: s}
}

func configMapVolume(name, of string, items ...corev1.KeyToPath) corev1.Volume {
	return volumeOf(name, corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: of}, Items: items}})
}

func (b *bench) setup(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if err := b.Setup(context.Background(), p); err != nil {
		t.Fatal(err)
	}
}

// at is where the volume of that index lies.
func (b *bench) at(t *testing.T, p *corev1.Pod, index int) string {
	t.Helper()
	path, err := b.Path(p.UID, &p.Spec.Volumes[index])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
