package core

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/uuid"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// LimitRange declares limitranges.
func LimitRange() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.LimitRange]{
		Kind:           corev1.SchemeGroupVersion.WithKind("LimitRange"),
		Plural:         "limitranges",
		ShortNames:     []string{"limits"},
		WholeUpdate:    true,
		CreateOnUpdate: true,
		Default: func(obj *corev1.LimitRange) {
			for i := range obj.Spec.Limits {
				defaultLimits(&obj.Spec.Limits[i])
			}
		},
		Prepare: func(_ context.Context, obj, _ *corev1.LimitRange) {
			obj.Name = cmp.Or(obj.Name, string(uuid.NewUUID())) // the one kind that needs no name
		},
		Validate: func(_ context.Context, obj, _ *corev1.LimitRange) field.ErrorList { return validateLimitRange(obj) },
	})
}

// defaultLimits derives the default limit from the maximum, the default request from the default limit, and
// where that says nothing from the minimum.
func defaultLimits(item *corev1.LimitRangeItem) {
	for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
		defaults.Resources(list)
	}
	if item.Type != corev1.LimitTypeContainer {
		return
	}
	fillIn(&item.Default, item.Max)
	fillIn(&item.DefaultRequest, item.Default)
	fillIn(&item.DefaultRequest, item.Min)
}

func fillIn(list *corev1.ResourceList, from corev1.ResourceList) {
	for name, q := range from {
		if _, there := (*list)[name]; there {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = q.DeepCopy()
	}
}

func validateLimitRange(obj *corev1.LimitRange) field.ErrorList {
	var faults field.ErrorList
	seen := sets.New[corev1.LimitType]()
	for i := range obj.Spec.Limits {
		item, at := &obj.Spec.Limits[i], field.NewPath("spec", "limits").Index(i)
		faults = append(faults, validateLimitType(at.Child("type"), string(item.Type))...)
		if seen.Has(item.Type) {
			faults = append(faults, field.Duplicate(at.Child("type"), item.Type))
		}
		seen.Insert(item.Type)
		faults = append(faults, validateLimitNames(at, item)...)
		names := sets.New[corev1.ResourceName]()
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			names.Insert(slices.Collect(maps.Keys(list))...)
		}
		for _, name := range sets.List(names) {
			faults = append(faults, validateLimit(at, item, name)...)
		}
	}
	return faults
}

func validateLimitType(at *field.Path, name string) field.ErrorList {
	faults := texts(at, name, utilvalidation.IsQualifiedName(name))
	standard := []corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}
	if len(faults) == 0 && !strings.Contains(name, "/") && !slices.Contains(standard, corev1.LimitType(name)) {
		faults = append(faults, field.Invalid(at, name, "must be a standard limit type or fully qualified"))
	}
	return faults
}

func validateLimitNames(at *field.Path, item *corev1.LimitRangeItem) field.ErrorList {
	var faults field.ErrorList
	judge := func(child string, list corev1.ResourceList) {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			path := at.Child(child).Key(string(name))
			if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
				faults = append(faults, validation.ContainerResourceName(path, name)...)
			} else {
				faults = append(faults, validation.ResourceName(path, name)...)
			}
		}
	}
	judge("max", item.Max)
	judge("min", item.Min)
	if item.Type == corev1.LimitTypePod {
		if len(item.Default) > 0 {
			faults = append(faults, field.Forbidden(at.Child("default"), "may not be specified when `type` is 'Pod'"))
		}
		if len(item.DefaultRequest) > 0 {
			faults = append(faults, field.Forbidden(at.Child("defaultRequest"), "may not be specified when `type` is 'Pod'"))
		}
	} else {
		judge("default", item.Default)
		judge("defaultRequest", item.DefaultRequest)
	}
	_, least := item.Min[corev1.ResourceStorage]
	_, most := item.Max[corev1.ResourceStorage]
	if item.Type == corev1.LimitTypePersistentVolumeClaim && !least && !most {
		faults = append(faults, field.Required(at.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
	}
	judge("maxLimitRequestRatio", item.MaxLimitRequestRatio)
	return faults
}

// limit is one amount of a resource, or none.
type limit struct {
	child, words string
	q            apiresource.Quantity
	set          bool
}

// validateLimit compares the amounts of one resource with each other.
func validateLimit(at *field.Path, item *corev1.LimitRangeItem, name corev1.ResourceName) field.ErrorList {
	get := func(child, words string, list corev1.ResourceList) limit {
		q, set := list[name]
		return limit{child, words, q, set}
	}
	low, high := get("min", "min value", item.Min), get("max", "max value", item.Max)
	usual, request := get("default", "default value", item.Default), get("defaultRequest", "default request value", item.DefaultRequest)
	if item.Type == corev1.LimitTypePod {
		usual, request = limit{}, limit{}
	}
	usualLimit := usual
	usualLimit.words = "default limit value"
	var faults field.ErrorList
	// above faults a that is more than b; the value shown is not always a.
	above := func(a, b limit, child string, shown apiresource.Quantity) {
		if a.set && b.set && a.q.Cmp(b.q) > 0 {
			faults = append(faults, field.Invalid(at.Child(child).Key(string(name)), shown.String(),
				fmt.Sprintf("%s %s is greater than %s %s", a.words, a.q.String(), b.words, b.q.String())))
		}
	}
	above(low, high, "min", low.q)
	above(low, request, "defaultRequest", request.q)
	above(request, high, "defaultRequest", request.q)
	above(request, usualLimit, "defaultRequest", request.q)
	above(low, usual, "default", low.q)
	above(usual, high, "default", high.q)
	faults = append(faults, validateRatio(at, item, name, low, high)...)
	if !validation.CanOvercommit(name) && usual.set && request.set && usual.q.Cmp(request.q) != 0 {
		faults = append(faults, field.Invalid(at.Child("defaultRequest").Key(string(name)), request.q.String(),
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", usual.q.String(), request.q.String(), name)))
	}
	return faults
}

func validateRatio(at *field.Path, item *corev1.LimitRangeItem, name corev1.ResourceName, low, high limit) field.ErrorList {
	ratio, set := item.MaxLimitRequestRatio[name]
	if !set {
		return nil
	}
	var faults field.ErrorList
	path := at.Child("maxLimitRequestRatio").Key(string(name))
	if ratio.Cmp(*apiresource.NewQuantity(1, apiresource.DecimalSI)) < 0 {
		faults = append(faults, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is less than 1", ratio.String())))
	}
	if !low.set || !high.set {
		return faults
	}
	// Whole thousandths divide exactly where fractions would not; what is too large for them is taken whole.
	wanted, least, most := float64(ratio.Value()), low.q.Value(), high.q.Value()
	if max(ratio.Value(), least, most) < apiresource.MaxMilliValue {
		wanted, least, most = float64(ratio.MilliValue())/1000, low.q.MilliValue(), high.q.MilliValue()
	}
	if limit := float64(most) / float64(least); wanted > limit {
		faults = append(faults, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), limit)))
	}
	return faults
}
