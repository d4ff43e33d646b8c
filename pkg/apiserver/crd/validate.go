package crd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/common"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// validate judges an object by its version's schema and rules. What did not change is not refused.
func (k *kind) validate(v *version) func(context.Context, *unstructured.Unstructured, *unstructured.Unstructured) field.ErrorList {
	return func(ctx context.Context, obj, old *unstructured.Unstructured) (faults field.ErrorList) {
		s, err := v.structural()
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		judge, err := v.validator()
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		var correlated *common.CorrelatedObject
		if old == nil {
			faults = judge.Validate(nil, obj.Object)
		} else {
			correlated = common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: s})
			faults = judge.ValidateUpdate(nil, obj.Object, correlated)
		}
		faults = append(faults, specReplicas(obj, v.scale())...)
		faults = append(faults, statusReplicas(obj, v.scale())...)
		faults = append(faults, objectmeta.Validate(nil, obj.Object, s, false)...)
		faults = append(faults, lists(s, obj, old)...)
		return append(faults, k.judgeRules(ctx, v, obj, old, correlated, faults)...)
	}
}

// validateStatus judges an object of which only the status was written.
func (k *kind) validateStatus(v *version) func(context.Context, *unstructured.Unstructured, *unstructured.Unstructured) field.ErrorList {
	return func(ctx context.Context, obj, old *unstructured.Unstructured) (faults field.ErrorList) {
		s, err := v.structural()
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		judge, err := v.status()
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		correlated := common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: s})
		if status, has := obj.Object["status"]; has && judge != nil {
			faults = judge.ValidateUpdate(field.NewPath("status"), status, correlated.Key("status"))
		}
		faults = append(faults, statusReplicas(obj, v.scale())...)
		faults = append(faults, lists(s, obj, old)...)
		return append(faults, k.judgeRules(ctx, v, obj, old, correlated, faults)...)
	}
}

// lists refuses items that stand twice in sets and maps, unless they did so before.
func lists(s *structural.Structural, obj, old *unstructured.Unstructured) field.ErrorList {
	faults := listtype.ValidateListSetsAndMaps(nil, s, obj.Object)
	if len(faults) > 0 && old != nil && len(listtype.ValidateListSetsAndMaps(nil, s, old.Object)) > 0 {
		return nil
	}
	return faults
}

// judgeRules runs the rules, unless what was found before makes them meaningless.
func (k *kind) judgeRules(ctx context.Context, v *version, obj, old *unstructured.Unstructured, correlated *common.CorrelatedObject, before field.ErrorList) field.ErrorList {
	rules, err := v.rules()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	if rules == nil {
		return nil
	}
	if old == nil {
		before = append(apivalidation.ValidateObjectMetaAccessor(obj, k.crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
			apivalidation.NameIsDNSSubdomain, field.NewPath("metadata")), before...)
	}
	blocking := []field.ErrorType{field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid}
	if slices.ContainsFunc(before, func(e *field.Error) bool { return slices.Contains(blocking, e.Type) }) {
		return field.ErrorList{field.Invalid(nil, nil,
			"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation")}
	}
	s, err := v.structural()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	if old == nil {
		faults, _ := rules.Validate(ctx, nil, s, obj.Object, nil, crdschema.ObjectCost)
		return faults
	}
	all, _ := rules.Validate(ctx, nil, s, obj.Object, old.Object, crdschema.ObjectCost)
	if len(all) == 0 {
		return nil
	}
	faults, _ := rules.Validate(ctx, nil, s, obj.Object, old.Object, crdschema.ObjectCost, cel.WithRatcheting(correlated))
	warnOfForgiven(ctx, all, faults)
	return faults
}

// warnOfForgiven tells of faults that are not refused because what is wrong was so before.
func warnOfForgiven(ctx context.Context, all, refused field.ErrorList) {
	for _, e := range all {
		if !slices.ContainsFunc(refused, func(r *field.Error) bool { return r.Error() == e.Error() }) {
			request.Warn(ctx, e.Error())
		}
	}
}

func specReplicas(obj *unstructured.Unstructured, s *apiextensionsv1.CustomResourceSubresourceScale) field.ErrorList {
	if s == nil {
		return nil
	}
	return replicas(obj, s.SpecReplicasPath)
}

func statusReplicas(obj *unstructured.Unstructured, s *apiextensionsv1.CustomResourceSubresourceScale) field.ErrorList {
	if s == nil {
		return nil
	}
	faults := replicas(obj, s.StatusReplicasPath)
	if s.LabelSelectorPath != nil {
		if selector, _, err := unstructured.NestedString(obj.Object, steps(*s.LabelSelectorPath)...); err != nil {
			faults = append(faults, field.Invalid(field.NewPath(*s.LabelSelectorPath), selector, err.Error()))
		}
	}
	return faults
}

func replicas(obj *unstructured.Unstructured, path string) field.ErrorList {
	n, _, err := unstructured.NestedInt64(obj.Object, steps(path)...)
	at := field.NewPath(path)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, n, err.Error())}
	case n < 0:
		return field.ErrorList{field.Invalid(at, n, "should be a non-negative integer")}
	case n > math.MaxInt32:
		return field.ErrorList{field.Invalid(at, n, fmt.Sprintf("should be less than or equal to %v", math.MaxInt32))}
	}
	return nil
}

// steps are the names in a path: ".spec.replicas".
func steps(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }

// warn tells of finalizers whose names others may use too.
func warn(_ context.Context, obj, old *unstructured.Unstructured) (out []string) {
	added := slices.Clone(obj.GetFinalizers())
	if old != nil {
		added = slices.DeleteFunc(added, func(f string) bool { return slices.Contains(old.GetFinalizers(), f) })
	}
	slices.Sort(added)
	standard := []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, "kubernetes"}
	for _, f := range slices.Compact(added) {
		for _, problem := range validation.IsQualifiedName(f) {
			out = append(out, fmt.Sprintf("metadata.finalizers: %q: %s", f, problem))
		}
		if strings.Contains(f, "/") || slices.Contains(standard, f) {
			continue
		}
		prefer := "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
		if strings.Contains(f, ".") {
			prefer = "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
		}
		out = append(out, fmt.Sprintf("metadata.finalizers: %q: %s", f, prefer))
	}
	return out
}
