package query

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDecode(t *testing.T) {
	five, stdout := int64(5), "Stdout"
	for _, c := range []struct {
		query string
		want  any
		into  any
	}{
		{"container=c&follow=true&tailLines=5&stream=Stdout&other=x", &corev1.PodLogOptions{Container: "c", Follow: true, TailLines: &five, Stream: &stdout}, &corev1.PodLogOptions{}},
		{"follow=maybe&previous=&timestamps=False&insecureSkipTLSVerifyBackend=0", &corev1.PodLogOptions{Follow: true, Previous: true}, &corev1.PodLogOptions{}},
		{"sinceTime=2020-01-01T00:00:00Z", &corev1.PodLogOptions{SinceTime: &metav1.Time{Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Local()}}, &corev1.PodLogOptions{}},
		{"command=sh&command=-c&stdin=1&tty=true", &corev1.PodExecOptions{Command: []string{"sh", "-c"}, Stdin: true, TTY: true}, &corev1.PodExecOptions{}},
		{"ports=80&ports=443&kind=X&apiVersion=y", &corev1.PodPortForwardOptions{Ports: []int32{80, 443}}, &corev1.PodPortForwardOptions{}},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if err := Decode(q, c.into); err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
		if d := cmp.Diff(c.want, c.into); d != "" {
			t.Errorf("%s:\n%s", c.query, d)
		}
	}
}

func TestDecodeRefusesWhatIsNoNumber(t *testing.T) {
	err := Decode(url.Values{"tailLines": {"abc"}}, &corev1.PodLogOptions{})
	if want := `strconv.ParseInt: parsing "abc": invalid syntax`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := Decode(url.Values{"ports": {"99999999999"}}, &corev1.PodPortForwardOptions{}); err == nil {
		t.Error("a port that no int32 holds was accepted")
	}
}
