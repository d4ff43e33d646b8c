// Command definitions makes definitions of custom resources as large as real ones, or says when all of them are
// served, so that what they cost a server can be measured.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	server = flag.String("server", "https://127.0.0.1:6443", "base URL of the API server")
	token  = flag.String("token", "", "bearer token")
	n      = flag.Int("n", 500, "definitions")
	await  = flag.Bool("await", false, "make none, and wait until all are served")
	use    = flag.Bool("list", false, "make none, and list the objects of each")
)

// perGroup is how many kinds have a group in common.
const perGroup = 25

func main() {
	flag.Parse()
	var err error
	switch {
	case *await:
		err = served()
	case *use:
		err = each(func(i int) error {
			_, err := do(http.MethodGet, fmt.Sprintf("/apis/%s/v1/%s", group(i), plural(i)), "application/json", nil)
			return err
		})
	default:
		var size atomic.Int64
		err = each(func(i int) error {
			body, err := json.Marshal(definition(i))
			if err != nil {
				return err
			}
			size.Add(int64(len(body)))
			_, err = do(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", body)
			return err
		})
		if err == nil {
			err = served()
		}
		fmt.Printf("%d definitions, %d KiB each\n", *n, int(size.Load())/max(*n, 1)/1024)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "definitions:", err)
		os.Exit(1)
	}
}

// each does something for each definition, four at a time.
func each(f func(i int) error) error {
	var next atomic.Int64
	faults := make(chan error, 4)
	var all sync.WaitGroup
	for range cap(faults) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < *n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					faults <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(faults)
	return <-faults
}

var client = &http.Client{Transport: &http.Transport{
	ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who serves is not what is measured
}}

func do(method, path, accept string, body []byte) ([]byte, error) {
	r, err := http.NewRequest(method, *server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+*token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", accept)
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %.300s", method, path, resp.StatusCode, answer)
	}
	return answer, err
}

// served asks for all that is served until all kinds are among it.
func served() error {
	const whole = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		answer, err := do(http.MethodGet, "/apis", whole, nil)
		has := bytes.Count(answer, []byte(`"singularResource":"`+stem))
		switch {
		case err == nil && has >= *n:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d are served after a minute: %w", has, *n, err)
		}
	}
}

const stem = "databaseinstance"

func group(i int) string  { return fmt.Sprintf("service%d.bench.example.com", i/perGroup) }
func plural(i int) string { return fmt.Sprintf("%ss%d", stem, i) }

type object = map[string]any

// definition is one like those of operators for a cloud's services: what is asked for, what was observed of it, and
// references to other objects, each with the description that its Go type has.
func definition(i int) object {
	condition := object{"type": "object", "required": []string{"type", "status"}, "description": about("condition"), "properties": object{
		"type": text("type"), "status": text("status"), "reason": text("reason"), "message": text("message"),
		"lastTransitionTime": object{"type": "string", "format": "date-time", "description": about("lastTransitionTime")},
	}}
	return object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": object{"name": plural(i) + "." + group(i)},
		"spec": object{
			"group": group(i), "scope": "Namespaced",
			"names": object{"plural": plural(i), "singular": fmt.Sprintf("%s%d", stem, i), "kind": fmt.Sprintf("DatabaseInstance%d", i), "listKind": fmt.Sprintf("DatabaseInstance%dList", i), "categories": []string{"managed"}},
			"versions": []object{{
				"name": "v1", "served": true, "storage": true, "subresources": object{"status": object{}},
				"additionalPrinterColumns": []object{
					{"name": "Ready", "type": "string", "jsonPath": `.status.conditions[?(@.type=="Ready")].status`},
					{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
				},
				"schema": object{"openAPIV3Schema": object{"type": "object", "description": about("instance"), "required": []string{"spec"}, "properties": object{
					"apiVersion": text("apiVersion"), "kind": text("kind"), "metadata": object{"type": "object"},
					"spec": object{"type": "object", "required": []string{"forProvider"}, "description": about("spec"), "properties": object{
						"forProvider":       parameters(40),
						"deletionPolicy":    object{"type": "string", "enum": []string{"Orphan", "Delete"}, "default": "Delete", "description": about("deletionPolicy")},
						"providerConfigRef": reference("providerConfigRef"), "writeConnectionSecretToRef": reference("writeConnectionSecretToRef"),
					}, "x-kubernetes-validations": []object{{"rule": "has(self.forProvider.field0) || self.deletionPolicy == 'Orphan'", "message": "field0 is required"}}},
					"status": object{"type": "object", "description": about("status"), "properties": object{
						"atProvider": parameters(20),
						"conditions": object{"type": "array", "items": condition, "description": about("conditions"), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"type"}},
					}},
				}}},
			}},
		},
	}
}

// parameters are fields of all types.
func parameters(count int) object {
	all := object{}
	for f := range count {
		name := fmt.Sprintf("field%d", f)
		switch f % 6 {
		case 0, 1:
			all[name] = text(name)
		case 2:
			all[name] = object{"type": "integer", "format": "int64", "minimum": 0, "description": about(name)}
		case 3:
			all[name] = object{"type": "object", "additionalProperties": object{"type": "string"}, "description": about(name)}
		case 4:
			all[name] = reference(name)
		case 5:
			all[name] = object{"type": "array", "maxItems": 100, "description": about(name), "items": object{"type": "object", "description": about("rule"), "properties": object{
				"cidr": text("cidr"), "port": object{"x-kubernetes-int-or-string": true, "description": about("port")}, "enabled": object{"type": "boolean", "default": true},
			}}}
		}
	}
	return object{"type": "object", "description": about("parameters"), "properties": all}
}

func reference(name string) object {
	return object{"type": "object", "description": about(name), "required": []string{"name"}, "properties": object{
		"name": text("name"), "namespace": text("namespace"), "policy": object{"type": "string", "enum": []string{"Required", "Optional"}, "description": about("policy")},
	}}
}

func text(name string) object { return object{"type": "string", "description": about(name)} }

func about(name string) string {
	return strings.Repeat("The "+name+" of the instance, as the service's own interface knows it. ", 2)
}
