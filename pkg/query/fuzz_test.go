package query

import (
	"net/url"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/conversion/queryparams"
)

// FuzzDecode reads the options of all streams and proxies: what was read is asked for again and read as the same.
func FuzzDecode(f *testing.F) {
	f.Add("container=c&follow=true&sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z&tailLines=-1&limitBytes=x&stream=All")
	f.Add("command=sh&command=-c&stdin=1&stdout=False&stderr=0&tty")
	f.Add("ports=80&ports=70000&path=/x%2fy")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		for _, options := range []any{&corev1.PodLogOptions{}, &corev1.PodExecOptions{}, &corev1.PodAttachOptions{}, &corev1.PodPortForwardOptions{},
			&corev1.PodProxyOptions{}, &corev1.NodeProxyOptions{}, &corev1.ServiceProxyOptions{}} {
			if Decode(q, options) != nil {
				continue
			}
			if forward, is := options.(*corev1.PodPortForwardOptions); is { // zeros are no ports, and clients leave them out
				forward.Ports = slices.DeleteFunc(forward.Ports, func(port int32) bool { return port == 0 })
			}
			asked, err := queryparams.Convert(options)
			if err != nil {
				t.Fatal(err)
			}
			again := reflect.New(reflect.TypeOf(options).Elem()).Interface()
			if err := Decode(asked, again); err != nil || !equality.Semantic.DeepEqual(options, again) {
				t.Errorf("%+v is read again as %+v, %v", options, again, err)
			}
		}
	})
}
