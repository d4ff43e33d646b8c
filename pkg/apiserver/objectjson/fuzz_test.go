package objectjson

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// FuzzMarshal encodes whatever can be decoded, and compares with encoding/json.
func FuzzMarshal(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"<\u2028>","managedFields":[{"fieldsV1":{"f:a":{}}}]},"spec":{"containers":[{"resources":{"limits":{"cpu":"100m"}},"ports":[{"containerPort":1}]}]}}`), false)
	message, err := (&corev1.Pod{Spec: corev1.PodSpec{NodeName: "\xff"}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message, true)
	f.Fuzz(func(t *testing.T, data []byte, protobuf bool) {
		pod := &corev1.Pod{}
		var err error
		if protobuf {
			err = pod.Unmarshal(data)
		} else {
			err = json.Unmarshal(data, pod)
		}
		if err == nil {
			same(t, pod, 0)
		}
	})
}
