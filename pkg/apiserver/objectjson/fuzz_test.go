package objectjson

import (
	"encoding/json"
	"reflect"
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

// FuzzUnmarshal reads any text, and compares with the library what was read.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"\u2028é","labels":{"a":"b"},"managedFields":[{"fieldsV1":{"f:a":{}}}]},"spec":{"containers":[{"resources":{"limits":{"cpu":"100m","memory":1}},"ports":[{"containerPort":1}]},null]}}`))
	f.Add([]byte(`{"metadata":{"name":"a","name":"b"},"Spec":null}`))
	f.Add([]byte(` {"spec":{"terminationGracePeriodSeconds":-0,"hostNetwork":true,"volumes":[{"configMap":{"defaultMode":420}}]},"status":{"startTime":"2026-01-01T00:00:00Z"}} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		readAlike(t, data, reflect.TypeFor[corev1.Pod]())
		readAlike(t, data, reflect.TypeFor[corev1.ConfigMap]())
	})
}

// FuzzPlainObject reads any text, and compares with YAML what was read.
func FuzzPlainObject(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"v1","metadata":{"name":"a","labels":{"b":"c"}},"spec":{"replicas":3,"list":[1,null,{"x":true}]}}`))
	f.Add([]byte("{\"a\" : \"b: #c\",\n\t\"d\":-1}"))
	f.Fuzz(func(t *testing.T, data []byte) { plainAlike(t, data) })
}
