package openapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// shareParameters moves the parameters that are alike in many operations of a v2 document into one table, and leaves
// references to it: without, they are more than half of the document.
func shareParameters(paths object) (object, error) {
	table := object{}
	share := func(list any) error {
		parameters, _ := list.([]any)
		for i := range parameters {
			p, _ := parameters[i].(object)
			if ownParameter(p) {
				continue
			}
			name, err := sharedName(p)
			if err != nil {
				return err
			}
			table[name], parameters[i] = p, object{"$ref": "#/parameters/" + name}
		}
		return nil
	}
	for _, path := range paths {
		item, _ := path.(object)
		for key, inner := range item {
			if o, ok := inner.(object); ok {
				inner = o["parameters"]
			} else if key != "parameters" {
				continue
			}
			if err := share(inner); err != nil {
				return nil, err
			}
		}
	}
	return table, nil
}

// ownParameter says whether a parameter stays with its operation: what tells of one kind alone does, and what older
// clients look for in the operation itself.
func ownParameter(p object) bool {
	switch p["name"] {
	case "name", "fieldValidation", "dryRun":
		return true
	case "body":
		s, _ := p["schema"].(object)
		ref, _ := s["$ref"].(string)
		return !strings.HasPrefix(ref, "#/definitions/io.k8s.apimachinery")
	}
	return false
}

// sharedName is a parameter's name and a hash of the JSON that the library of OpenAPI gives it. Clients find it under
// the name that it has with kube-apiserver.
func sharedName(p object) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	var known spec.Parameter
	if err := json.Unmarshal(text, &known); err != nil {
		return "", fmt.Errorf("reading the parameter %v: %w", p["name"], err)
	}
	if text, err = json.Marshal(known); err != nil {
		return "", err
	}
	hash := fnv.New64()
	_, _ = hash.Write(text)
	return known.Name + "-" + base64.URLEncoding.EncodeToString(hash.Sum(nil)[:6]), nil
}
