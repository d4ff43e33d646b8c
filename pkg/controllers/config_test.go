package controllers

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
	"github.com/sampan-project/sampan/pkg/pki"
)

// TestWhatIsParsedIsRead looks for each field of the configuration, and for each flag of workers, where controllers are made.
func TestWhatIsParsedIsRead(t *testing.T) {
	var made strings.Builder
	for _, name := range []string{"all.go", "config.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "fs.") && !strings.HasPrefix(line, "\t\"") {
				made.WriteString(line)
			}
		}
	}
	for name := range workers {
		if !strings.Contains(made.String(), `"`+name+`"`) {
			t.Errorf("nobody asks for the number of workers that --concurrent-%s-syncs gives", name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`\bc\.` + f.Name + `\b`).MatchString(made.String()) {
			t.Errorf("nothing reads %s", f.Name)
		}
	}
}

func TestPodsTrustTheFlagsAuthorityOrTheKubeconfigs(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority, err := pki.NewCA(pki.CertSpec{CommonName: "authority"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pem := string(authority.CertificatePEM())
	flag, beside, not := file("flag", pem), file("beside", "beside"), file("not", "no certificate")
	for _, c := range []struct {
		what   string
		flag   string
		server rest.TLSClientConfig
		want   string
		fault  bool
	}{
		{"the flag's", flag, rest.TLSClientConfig{CAData: []byte("within")}, pem, false},
		{"within the kubeconfig", "", rest.TLSClientConfig{CAData: []byte("within"), CAFile: beside}, "within", false},
		{"beside the kubeconfig", "", rest.TLSClientConfig{CAFile: beside}, "beside", false},
		{"those of the system", "", rest.TLSClientConfig{}, "", false},
		{"no certificate", not, rest.TLSClientConfig{}, "", true},
		{"a file that is not there", filepath.Join(dir, "gone"), rest.TLSClientConfig{}, "", true},
	} {
		config := &Config{RootCAFile: c.flag, Server: c.server}
		if c.fault {
			if _, err := newRootCA(nil, config); err == nil {
				t.Errorf("%s: published", c.what)
			}
			continue
		}
		objects := []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}}
		controllertest.Run(t, objects, func(env *controller.Env) (controller.Runner, error) { return newRootCA(env, config) }, func(w *controllertest.World) {
			m, err := w.Client.CoreV1().ConfigMaps("n").Get(w.Ctx, "kube-root-ca.crt", metav1.GetOptions{})
			if err != nil || m.Data["ca.crt"] != c.want {
				t.Errorf("%s: published %q, %v, want %q", c.what, m.Data["ca.crt"], err, c.want)
			}
		})
	}
}
