package validation

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/transport"
)

// WebhookURL judges the address at which a webhook is called.
func WebhookURL(at *field.Path, address string) (faults field.ErrorList) {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(address)
	if err != nil {
		return field.ErrorList{field.Required(at, "url must be a valid URL: "+err.Error()+form)}
	}
	if u.Scheme != "https" {
		faults = append(faults, field.Invalid(at, u.Scheme, "'https' is the only allowed URL scheme"+form))
	}
	if u.Host == "" {
		faults = append(faults, field.Invalid(at, u.Host, "host must be specified"+form))
	}
	if u.User != nil {
		faults = append(faults, field.Invalid(at, u.User.String(), "user information is not permitted in the URL"))
	}
	if u.Fragment != "" {
		faults = append(faults, field.Invalid(at, u.Fragment, "fragments are not permitted in the URL"))
	}
	if u.RawQuery != "" {
		faults = append(faults, field.Invalid(at, u.RawQuery, "query parameters are not permitted in the URL"))
	}
	return faults
}

// WebhookService judges the service through which a webhook is called.
func WebhookService(at *field.Path, namespace, name string, path *string, port int32) (faults field.ErrorList) {
	faults = append(faults, Filled(at.Child("name"), name)...)
	faults = append(faults, Filled(at.Child("namespace"), namespace)...)
	if problems := validation.IsValidPortNum(int(port)); len(problems) > 0 {
		faults = append(faults, field.Invalid(at.Child("port"), port, "port is not valid: "+strings.Join(problems, ", ")))
	}
	if path == nil || *path == "" || *path == "/" {
		return faults
	}
	where := at.Child("path")
	if *path == "//" {
		return append(faults, field.Invalid(where, *path, "segment[0] may not be empty"))
	}
	if !strings.HasPrefix(*path, "/") {
		faults = append(faults, field.Invalid(where, *path, "must start with a '/'"))
	}
	for i, step := range strings.Split(strings.TrimSuffix((*path)[1:], "/"), "/") {
		if step == "" {
			faults = append(faults, field.Invalid(where, *path, fmt.Sprintf("segment[%d] may not be empty", i)))
			continue
		}
		for _, problem := range validation.IsDNS1123Subdomain(step) {
			faults = append(faults, field.Invalid(where, *path, fmt.Sprintf("segment[%d]: %v", i, problem)))
		}
	}
	return faults
}

// CABundle judges the certificates by which a webhook is recognised.
func CABundle(at *field.Path, bundle []byte) field.ErrorList {
	if _, err := transport.TLSConfigFor(&transport.Config{TLS: transport.TLSConfig{CAData: bundle}}); err != nil {
		return field.ErrorList{field.Invalid(at, bundle, err.Error())}
	}
	return nil
}
