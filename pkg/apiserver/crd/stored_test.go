package crd

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// TestCustomResourcesAreStoredByteForByteAsRecorded reads what a kube-apiserver wrote to its etcd and writes it again.
func TestCustomResourcesAreStoredByteForByteAsRecorded(t *testing.T) {
	in, err := os.Open("../../../test/oracle/storage/dump.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	stored := map[string][]byte{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var kv struct{ Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &kv); err != nil {
			t.Fatal(err)
		}
		if stored[kv.Key], err = base64.StdEncoding.DecodeString(kv.Value); err != nil {
			t.Fatal(err)
		}
	}
	const definitions = "/registry/apiextensions.k8s.io/customresourcedefinitions/"
	definition := apiextensions.CustomResourceDefinition(clocktesting.NewFakeClock(time.Now()))
	compared := 0
	for key, value := range stored {
		if !strings.HasPrefix(key, definitions) {
			continue
		}
		o, err := definition.Stored.Decode(value)
		if err != nil {
			t.Fatal(err)
		}
		crd := o.(*apiextensionsv1.CustomResourceDefinition)
		k := newKind(lean(crd), func() (*apiextensionsv1.CustomResourceDefinition, error) { return crd, nil }, nil)
		for key, value := range stored {
			if !strings.HasPrefix(key, "/registry/"+crd.Spec.Group+"/"+crd.Spec.Names.Plural+"/") {
				continue
			}
			u, err := k.decode(value)
			if err != nil {
				t.Fatal(err)
			}
			again, err := k.encode(u)
			if err != nil {
				t.Fatal(err)
			}
			compared++
			if string(again) != string(value) {
				t.Errorf("%s:\n%s\nhere\n%s", key, value, again)
			}
		}
	}
	if compared == 0 {
		t.Error("no custom resource was recorded")
	}
}
