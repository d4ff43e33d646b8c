package apiextensions

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// recordedDefinitions are the definitions that a kube-apiserver stored.
func recordedDefinitions(t *testing.T) [][]byte {
	t.Helper()
	in, err := os.Open("../../../../test/oracle/storage/dump.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	var out [][]byte
	for lines.Scan() {
		var kv struct{ Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &kv); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(kv.Key, "/registry/apiextensions.k8s.io/customresourcedefinitions/") {
			continue
		}
		value, err := base64.StdEncoding.DecodeString(kv.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, value)
	}
	if len(out) == 0 {
		t.Fatal("no definition was recorded")
	}
	return out
}

func TestDefinitionsAreStoredByteForByteAsRecorded(t *testing.T) {
	for _, value := range recordedDefinitions(t) {
		obj, err := decode(value)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encode(obj)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(value) {
			t.Errorf("recorded\n%s\nhere\n%s", value, again)
		}
	}
}

func TestDefinitionsOfEitherVersionAreRead(t *testing.T) {
	for name, value := range map[string]string{
		"v1": `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"group":"e.com","names":{"plural":"as","kind":"A"},"scope":"Cluster",` +
			`"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`,
		"v1beta1 with one version of old": `{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","spec":{"group":"e.com","version":"v1",` +
			`"names":{"plural":"as","kind":"A"},"scope":"Cluster","validation":{"openAPIV3Schema":{"type":"object"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			obj, err := decode([]byte(value))
			if err != nil {
				t.Fatal(err)
			}
			if len(obj.Spec.Versions) != 1 || !obj.Spec.Versions[0].Storage || obj.Spec.Versions[0].Schema == nil {
				t.Errorf("versions: %+v", obj.Spec.Versions)
			}
			if obj.Spec.Names.Singular != "a" || obj.Spec.Names.ListKind != "AList" || obj.Status.StoredVersions[0] != "v1" ||
				obj.Spec.Conversion.Strategy != apiextensionsv1.NoneConverter {
				t.Errorf("defaults: %+v, %+v", obj.Spec, obj.Status)
			}
		})
	}
	if _, err := decode([]byte(`{"apiVersion":"apiextensions.k8s.io/v2"}`)); err == nil {
		t.Error("a version that nobody knows was read")
	}
}
