// Package celtypes declares the types that the expressions of admission policies see, for the server that evaluates
// them and for the controller that checks them.
package celtypes

import (
	"maps"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/traits"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

type members map[string]*apiservercel.DeclType

// objectType declares a type; only has() may be asked of optional fields.
func objectType(name string, optional bool, f members) *apiservercel.DeclType {
	return apiservercel.NewObjectType(name, declared(optional, f))
}

func declared(optional bool, f members) map[string]*apiservercel.DeclField {
	out := map[string]*apiservercel.DeclField{}
	for name, t := range f {
		out[name] = apiservercel.NewDeclField(name, t, !optional, nil, nil)
	}
	return out
}

const unbounded = -1

var (
	text     = apiservercel.StringType
	texts    = apiservercel.NewListType(text, unbounded)
	textMap  = apiservercel.NewMapType(text, text, unbounded)
	textsMap = apiservercel.NewMapType(text, texts, unbounded)
)

// Request is the type of the variable request.
func Request() *apiservercel.DeclType {
	kind := objectType("kubernetes.GroupVersionKind", false, members{"group": text, "version": text, "kind": text})
	resource := objectType("kubernetes.GroupVersionResource", false, members{"group": text, "version": text, "resource": text})
	user := objectType("kubernetes.UserInfo", true, members{"username": text, "uid": text, "groups": texts, "extra": textsMap})
	all := declared(false, members{
		"kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource, "name": text, "operation": text, "userInfo": user,
	})
	maps.Copy(all, declared(true, members{
		"subResource": text, "requestSubResource": text, "namespace": text, "dryRun": apiservercel.BoolType, "options": apiservercel.DynType,
	}))
	return apiservercel.NewObjectType("kubernetes.AdmissionRequest", all)
}

// Namespace is the type of the variable namespaceObject: a namespace without what concerns only its keepers.
func Namespace() *apiservercel.DeclType {
	condition := objectType("kubernetes.NamespaceCondition", false, members{
		"status": text, "type": text, "lastTransitionTime": apiservercel.TimestampType, "message": text, "reason": text,
	})
	return objectType("kubernetes.Namespace", false, members{
		"metadata": objectType("kubernetes.NamespaceMetadata", false, members{
			"name": text, "generateName": text, "namespace": text, "labels": textMap, "annotations": textMap, "UID": text,
			"creationTimestamp": apiservercel.TimestampType, "deletionGracePeriodSeconds": apiservercel.IntType,
			"deletionTimestamp": apiservercel.TimestampType, "generation": apiservercel.IntType, "resourceVersion": text, "finalizers": texts,
		}),
		"spec":   objectType("kubernetes.NamespaceSpec", false, members{"finalizers": texts}),
		"status": objectType("kubernetes.NamespaceStatus", false, members{"conditions": apiservercel.NewListType(condition, unbounded), "phase": text}),
	})
}

// Of gives an expression's result type as the type of a field.
func Of(t *cel.Type) *apiservercel.DeclType {
	for _, d := range []*apiservercel.DeclType{
		apiservercel.AnyType, apiservercel.BoolType, apiservercel.BytesType, apiservercel.DoubleType, apiservercel.DurationType,
		apiservercel.IntType, apiservercel.NullType, apiservercel.StringType, apiservercel.TimestampType, apiservercel.UintType,
	} {
		if t != nil && d.CelType() == t {
			return d
		}
	}
	if t != nil && t.HasTrait(traits.ContainerType) && t.HasTrait(traits.IndexerType) {
		switch p := t.Parameters(); len(p) {
		case 1:
			return apiservercel.NewListType(Of(p[0]), unbounded)
		case 2:
			return apiservercel.NewMapType(Of(p[0]), Of(p[1]), unbounded)
		}
	}
	return apiservercel.DynType
}
