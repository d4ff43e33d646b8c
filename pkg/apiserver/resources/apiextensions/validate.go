package apiextensions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
)

// validate judges a definition. What an old one had wrong and still has is forgiven.
func validate(ctx context.Context, obj, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	crd, err := internal(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	var faults field.ErrorList
	r := newRules()
	if old != nil {
		was, err := internal(old)
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		r.forgive(crd, was)
		faults = r.spec(ctx, &crd.Spec)
		faults = append(faults, unchanging(&crd.Spec, &was.Spec, IsTrue(old, apiextensionsv1.Established))...)
	} else {
		faults = nameFaults(obj)
		faults = append(faults, r.spec(ctx, &crd.Spec)...)
	}
	faults = append(faults, names(&crd.Status.AcceptedNames, field.NewPath("status", "acceptedNames"))...)
	faults = append(faults, storedVersions(crd.Status.StoredVersions, crd.Spec.Versions)...)
	faults = append(faults, approval(obj, old)...)
	if p := crd.Spec.PreserveUnknownFields; p != nil && *p && (old == nil || !old.Spec.PreserveUnknownFields) {
		faults = append(faults, field.Invalid(field.NewPath("spec", "preserveUnknownFields"), p,
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"))
	}
	return faults
}

// nameFaults refuses a name that is not made of the plural and the group. That it is a DNS name is judged for
// all kinds.
func nameFaults(obj *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	if obj.Name == obj.Spec.Names.Plural+"."+obj.Spec.Group || obj.Name == "" {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), obj.Name, `must be spec.names.plural+"."+spec.group`)}
}

func validateStatus(_ context.Context, obj, _ *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	crd, err := internal(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	return names(&crd.Status.AcceptedNames, field.NewPath("status", "acceptedNames"))
}

// warn names the formats in schemas that nobody checks and that the old definition did not have.
func warn(_ context.Context, obj, old *apiextensionsv1.CustomResourceDefinition) (out []string) {
	known := formatsOf(old)
	for _, format := range formatsOf(obj) {
		if !slices.Contains(known, format) {
			out = append(out, fmt.Sprintf("unrecognized format %q", format))
		}
	}
	return out
}

func formatsOf(obj *apiextensionsv1.CustomResourceDefinition) (out []string) {
	if obj == nil {
		return nil
	}
	crd, err := internal(obj)
	if err != nil {
		return nil // Validate says so
	}
	for _, s := range schemas(&crd.Spec) {
		out = append(out, crdschema.UnknownFormats(s)...)
	}
	return out
}

// schemas are all that a definition has: that of all versions, and those of each.
func schemas(spec *apiextensions.CustomResourceDefinitionSpec) (out []*apiextensions.JSONSchemaProps) {
	if spec.Validation != nil && spec.Validation.OpenAPIV3Schema != nil {
		out = append(out, spec.Validation.OpenAPIV3Schema)
	}
	for _, v := range spec.Versions {
		if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			out = append(out, v.Schema.OpenAPIV3Schema)
		}
	}
	return out
}

// anySchema says whether f holds for any schema, or one inside it.
func anySchema(spec *apiextensions.CustomResourceDefinitionSpec, f func(*apiextensions.JSONSchemaProps) bool) bool {
	return slices.ContainsFunc(schemas(spec), func(s *apiextensions.JSONSchemaProps) bool { return crdschema.Walk(s, f) })
}

// unchanging refuses what names stored objects to become another.
func unchanging(spec, old *apiextensions.CustomResourceDefinitionSpec, established bool) (faults field.ErrorList) {
	at := field.NewPath("spec")
	if established {
		faults = append(faults, apivalidation.ValidateImmutableField(spec.Scope, old.Scope, at.Child("scope"))...)
		faults = append(faults, apivalidation.ValidateImmutableField(spec.Names.Kind, old.Names.Kind, at.Child("names", "kind"))...)
	}
	faults = append(faults, apivalidation.ValidateImmutableField(spec.Group, old.Group, at.Child("group"))...)
	return append(faults, apivalidation.ValidateImmutableField(spec.Names.Plural, old.Names.Plural, at.Child("names", "plural"))...)
}

func (r *rules) spec(ctx context.Context, spec *apiextensions.CustomResourceDefinitionSpec) (faults field.ErrorList) {
	at := field.NewPath("spec")
	switch problems := validation.IsDNS1123Subdomain(spec.Group); {
	case spec.Group == "":
		faults = append(faults, field.Required(at.Child("group"), ""))
	case len(problems) > 0:
		faults = append(faults, field.Invalid(at.Child("group"), spec.Group, strings.Join(problems, ",")))
	case !strings.Contains(spec.Group, "."):
		faults = append(faults, field.Invalid(at.Child("group"), spec.Group, "should be a domain with at least one dot"))
	}
	faults = append(faults, oneOf(at.Child("scope"), string(spec.Scope), string(apiextensions.ClusterScoped), string(apiextensions.NamespaceScoped))...)
	preserving := spec.PreserveUnknownFields == nil || *spec.PreserveUnknownFields
	r.structural = r.structural || spec.PreserveUnknownFields == nil || !*spec.PreserveUnknownFields
	faults = append(faults, r.schemasGiven(spec, at)...)
	if anySchema(spec, func(s *apiextensions.JSONSchemaProps) bool { return s.Default != nil }) {
		r.structural = true
		if preserving {
			faults = append(faults, field.Invalid(at.Child("preserveUnknownFields"), true, "must be false in order to use defaults in the schema"))
		}
	}
	r.structural = r.structural || anySchema(spec, hasExtensions)
	faults = append(faults, r.versions(ctx, spec, at)...)
	faults = append(faults, requiredNames(&spec.Names, at.Child("names"))...)
	faults = append(faults, names(&spec.Names, at.Child("names"))...)
	faults = append(faults, r.schema(ctx, spec.Validation, statusOfAny(spec), spec.Version, at.Child("validation"))...)
	faults = append(faults, subresources(spec.Subresources, at.Child("subresources"))...)
	for i := range spec.AdditionalPrinterColumns {
		faults = append(faults, printerColumn(&spec.AdditionalPrinterColumns[i], at.Child("additionalPrinterColumns").Index(i))...)
	}
	if len(spec.SelectableFields) > 0 {
		if spec.Validation == nil {
			faults = append(faults, field.Invalid(at.Child("selectableFields"), "", "may only be set when validations.schema is included"))
		} else {
			faults = append(faults, r.selectable(spec.SelectableFields, spec.Validation.OpenAPIV3Schema, "", at)...)
		}
	}
	if c := spec.Conversion; c != nil && c.Strategy != apiextensions.NoneConverter && preserving {
		faults = append(faults, field.Invalid(at.Child("conversion", "strategy"), c.Strategy, "must be None if spec.preserveUnknownFields is true"))
	}
	return append(faults, r.conversion(spec.Conversion, at.Child("conversion"))...)
}

// schemasGiven refuses versions without a schema.
func (r *rules) schemasGiven(spec *apiextensions.CustomResourceDefinitionSpec, at *field.Path) (faults field.ErrorList) {
	if spec.Validation != nil && spec.Validation.OpenAPIV3Schema != nil {
		return nil
	}
	pruned := spec.PreserveUnknownFields == nil || !*spec.PreserveUnknownFields
	for i, v := range spec.Versions {
		if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			continue
		}
		where := at.Child("versions").Index(i).Child("schema", "openAPIV3Schema")
		switch {
		case r.schemas:
			faults = append(faults, field.Required(where, ""))
		case pruned && v.Served:
			faults = append(faults, field.Required(where, "because otherwise all fields are pruned"))
		}
	}
	return faults
}

func (r *rules) versions(ctx context.Context, spec *apiextensions.CustomResourceDefinitionSpec, at *field.Path) (faults field.ErrorList) {
	stored, seen, twice := 0, map[string]bool{}, false
	for i := range spec.Versions {
		v := &spec.Versions[i]
		where := at.Child("versions").Index(i)
		if v.Storage {
			stored++
		}
		twice = twice || seen[v.Name]
		seen[v.Name] = true
		if problems := validation.IsDNS1035Label(v.Name); len(problems) > 0 {
			faults = append(faults, field.Invalid(where.Child("name"), v.Name, strings.Join(problems, ",")))
		}
		faults = append(faults, r.version(ctx, v, statusOf(spec, v.Name), where)...)
	}
	if twice {
		faults = append(faults, field.Invalid(at.Child("versions"), spec.Versions, "must contain unique version names"))
	}
	if stored != 1 {
		faults = append(faults, field.Invalid(at.Child("versions"), spec.Versions, "must have exactly one version marked as storage version"))
	}
	if problems := validation.IsDNS1035Label(spec.Version); spec.Version != "" && len(problems) > 0 {
		faults = append(faults, field.Invalid(at.Child("version"), spec.Version, strings.Join(problems, ",")))
	}
	return faults
}

func statusOf(spec *apiextensions.CustomResourceDefinitionSpec, version string) bool {
	own := slices.ContainsFunc(spec.Versions, func(v apiextensions.CustomResourceDefinitionVersion) bool { return v.Subresources != nil })
	if !own {
		return hasStatus(spec.Subresources)
	}
	for _, v := range spec.Versions {
		if v.Name == version {
			return hasStatus(v.Subresources)
		}
	}
	return false
}

func statusOfAny(spec *apiextensions.CustomResourceDefinitionSpec) bool {
	return hasStatus(spec.Subresources) ||
		slices.ContainsFunc(spec.Versions, func(v apiextensions.CustomResourceDefinitionVersion) bool { return hasStatus(v.Subresources) })
}

func hasStatus(s *apiextensions.CustomResourceSubresources) bool { return s != nil && s.Status != nil }

func storedVersions(stored []string, versions []apiextensions.CustomResourceDefinitionVersion) (faults field.ErrorList) {
	at := field.NewPath("status", "storedVersions")
	if len(stored) == 0 {
		return field.ErrorList{field.Invalid(at, stored, "must have at least one stored version")}
	}
	missing := map[string]int{}
	for i, v := range stored {
		missing[v] = i
	}
	for _, v := range versions {
		if _, has := missing[v.Name]; !has && v.Storage {
			faults = append(faults, field.Invalid(at, stored, "must have the storage version "+v.Name))
		}
		delete(missing, v.Name)
	}
	for _, v := range slices.Sorted(maps.Keys(missing)) {
		faults = append(faults, field.Invalid(at.Index(missing[v]), v, fmt.Sprintf("missing from spec.versions; %[1]s was previously a storage version, "+
			"and must remain in spec.versions until a storage migration ensures no data remains persisted in %[1]s and removes %[1]s from status.storedVersions", v)))
	}
	return faults
}

func oneOf(at *field.Path, value string, accepted ...string) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(at, "")}
	case slices.Contains(accepted, value):
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, accepted)}
}

// same says whether two values mean the same.
func same(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }
