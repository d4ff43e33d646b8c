// Package apiregistration declares the resources of the group apiregistration.k8s.io: which server serves which
// group version.
package apiregistration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

const httpsPort = 443

type apiService = apiregistrationv1.APIService

// APIService declares apiservices. In etcd they are kept as JSON.
func APIService() *resource.Resource {
	kind := apiregistrationv1.SchemeGroupVersion.WithKind("APIService")
	return resource.Define(resource.Definition[*apiService]{
		Kind:          kind,
		Plural:        "apiservices",
		Singular:      "apiservice",
		Categories:    []string{"api-extensions"},
		ClusterScoped: true,
		Prefix:        "apiregistration.k8s.io/apiservices",
		Stored:        &resource.Stored[*apiService]{Encode: encode, Decode: decode},
		// Which name is right depends on the spec: Validate judges it.
		ValidateName:   path.ValidatePathSegmentName,
		StrictUpdate:   true,
		FreeFinalizers: true,
		Default:        setDefaults,
		Prepare: func(_ context.Context, obj, old *apiService) {
			obj.Status = apiregistrationv1.APIServiceStatus{}
			switch {
			case old != nil:
				obj.Status = *old.Status.DeepCopy()
			case obj.Spec.Service == nil: // this server itself is always there
				SetCondition(obj, LocalCondition(), obj.CreationTimestamp)
			}
		},
		Reset:    []string{"status"},
		Validate: func(_ context.Context, obj, _ *apiService) field.ErrorList { return validate(obj) },
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Service", "The reference to the service that hosts this API endpoint."),
			column.Text("Available", "Whether this service is available."),
			column.Age(),
		},
		Row: row,
		Subresources: []resource.Subresource[*apiService]{resource.Status(kind, resource.UpdatePart[*apiService]{
			Prepare: func(_ context.Context, obj, old *apiService) {
				managed := obj.ManagedFields
				obj.Spec, obj.ObjectMeta = *old.Spec.DeepCopy(), *old.ObjectMeta.DeepCopy()
				obj.ManagedFields = managed
			},
			Validate: func(_ context.Context, obj, _ *apiService) field.ErrorList { return validateStatus(&obj.Status) },
			Reset:    []string{"spec", "metadata"},
		})},
	})
}

func setDefaults(obj *apiService) {
	if s := obj.Spec.Service; s != nil && s.Port == nil {
		s.Port = new(int32(httpsPort))
	}
}

func encode(obj *apiService) ([]byte, error) {
	stored := obj.DeepCopy()
	stored.SetGroupVersionKind(apiregistrationv1.SchemeGroupVersion.WithKind("APIService"))
	data, err := json.Marshal(stored)
	return append(data, '\n'), err
}

func decode(value []byte) (*apiService, error) {
	obj := &apiService{}
	if err := json.Unmarshal(value, obj); err != nil {
		return nil, err
	}
	obj.SetGroupVersionKind(apiregistrationv1.SchemeGroupVersion.WithKind("APIService"))
	setDefaults(obj)
	return obj, nil
}

// LocalCondition is that of what this server serves itself.
func LocalCondition() apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue,
		Reason: "Local", Message: "Local APIServices are always available"}
}

// SetCondition sets a condition and says whether that made a difference. Its time is that of the last change of its
// status.
func SetCondition(obj *apiService, c apiregistrationv1.APIServiceCondition, now metav1.Time) bool {
	c.LastTransitionTime = now
	for i := range obj.Status.Conditions {
		have := &obj.Status.Conditions[i]
		if have.Type != c.Type {
			continue
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
		changed := *have != c
		*have = c
		return changed
	}
	obj.Status.Conditions = append(obj.Status.Conditions, c)
	return true
}

func row(obj *apiService) []any {
	service, available := "Local", string(apiregistrationv1.ConditionUnknown)
	if s := obj.Spec.Service; s != nil {
		service = s.Namespace + "/" + s.Name
	}
	for _, c := range obj.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			available = string(c.Status)
			if c.Status != apiregistrationv1.ConditionTrue {
				available = fmt.Sprintf("%v (%v)", c.Status, c.Reason)
			}
		}
	}
	return []any{obj.Name, service, available, column.Since(obj.CreationTimestamp)}
}

func validate(obj *apiService) field.ErrorList {
	var faults field.ErrorList
	spec, at := &obj.Spec, field.NewPath("spec")
	if name := spec.Version + "." + spec.Group; obj.Name != name {
		faults = append(faults, field.Invalid(field.NewPath("metadata", "name"), obj.Name, fmt.Sprintf("must be `spec.version+\".\"+spec.group`: %q", name)))
	}
	if spec.Group == "" && spec.Version != "v1" {
		faults = append(faults, field.Required(at.Child("group"), "only v1 may have an empty group and it better be legacy kube"))
	}
	if spec.Group != "" {
		faults = append(faults, each(at.Child("group"), spec.Group, utilvalidation.IsDNS1123Subdomain(spec.Group))...)
	}
	faults = append(faults, each(at.Child("version"), spec.Version, utilvalidation.IsDNS1035Label(spec.Version))...)
	if p := spec.GroupPriorityMinimum; p <= 0 || p > 20000 {
		faults = append(faults, field.Invalid(at.Child("groupPriorityMinimum"), p, "must be positive and less than 20000"))
	}
	if p := spec.VersionPriority; p <= 0 || p > 1000 {
		faults = append(faults, field.Invalid(at.Child("versionPriority"), p, "must be positive and less than 1000"))
	}
	return append(faults, validateService(at, spec)...)
}

func validateService(at *field.Path, spec *apiregistrationv1.APIServiceSpec) field.ErrorList {
	var faults field.ErrorList
	if spec.Service == nil {
		if len(spec.CABundle) > 0 {
			faults = append(faults, field.Invalid(at.Child("caBundle"), fmt.Sprintf("%d bytes", len(spec.CABundle)), "local APIServices may not have a caBundle"))
		}
		if spec.InsecureSkipTLSVerify {
			faults = append(faults, field.Invalid(at.Child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify"))
		}
		return faults
	}
	service := at.Child("service")
	if spec.Service.Namespace == "" {
		faults = append(faults, field.Required(service.Child("namespace"), ""))
	}
	if spec.Service.Name == "" {
		faults = append(faults, field.Required(service.Child("name"), ""))
	}
	if p := spec.Service.Port; p != nil {
		if texts := utilvalidation.IsValidPortNum(int(*p)); len(texts) > 0 {
			faults = append(faults, field.Invalid(service.Child("port"), *p, "port is not valid: "+strings.Join(texts, ", ")))
		}
	}
	if spec.InsecureSkipTLSVerify && len(spec.CABundle) > 0 {
		faults = append(faults, field.Invalid(at.Child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present"))
	}
	return faults
}

func each(at *field.Path, value string, texts []string) field.ErrorList {
	var faults field.ErrorList
	for _, text := range texts {
		faults = append(faults, field.Invalid(at, value, text))
	}
	return faults
}

func validateStatus(status *apiregistrationv1.APIServiceStatus) field.ErrorList {
	var faults field.ErrorList
	for i, c := range status.Conditions {
		switch c.Status {
		case apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionUnknown:
		default:
			faults = append(faults, field.NotSupported(field.NewPath("status", "conditions").Index(i).Child("status"), c.Status,
				[]apiregistrationv1.ConditionStatus{apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionUnknown}))
		}
	}
	return faults
}
